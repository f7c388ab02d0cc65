//! A plan, as people and planners write it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Condition, Name, references};
use crate::{duration::HumanDuration, id::AgentId};

/// What is to be done, step by step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What has to be given when the plan is run. Steps name it like an output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<PlanInput>,
    /// The steps, in order: a step may use what earlier ones put out.
    pub steps: Vec<PlanStep>,
}

/// What has to be given when a plan is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanInput {
    /// Its name, for example `$topic`.
    pub name: Name,
    /// What it is, for planners and people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value where the task gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// One step of a plan: a task for one agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// What is to be done, so that it can be understood without the rest of the plan.
    pub task: String,
    /// The agent that does it, one of the collaboration's.
    pub agent: AgentId,
    /// As what it does it, in a word or two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which outputs of earlier steps, and inputs of the plan, it gets to see; it sees no others. `$task` is the task itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Variable>,
    /// The name of what it puts out. Two steps may have the same one if their conditions differ: the later that ran counts.
    pub output: Name,
    /// When it is wanted; otherwise it is skipped. An expression over names, such as `$verdict == "approve"`, or a sentence that the
    /// coordinator's model judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// The tool that it is to use, for its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<String>,
    /// Whose outputs have to be there before it begins, besides those that it names elsewhere. Without this key a step begins when the
    /// one before it has ended; with it, even an empty one, steps that do not need each other run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<Name>>,
    /// How long its agent has for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// What it may cost, in dollars. It is looked at when the step has ended: more is a failure of the step. The agent's own
    /// `limits.budget_usd` stop it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// What becomes of the run when the step fails.
    #[serde(default, skip_serializing_if = "OnFailure::is_default")]
    pub on_failure: OnFailure,
    /// How often the step is tried again with `on_failure: retry` (1 if absent). Its agent's own attempts are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The JSON Schema that its output has to follow. An answer that does not is given back to its agent with what is wrong with it, up
    /// to three tries in all; then the step fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_output_schema: Option<Value>,
}

/// What becomes of a run when one of its steps fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run fails.
    #[default]
    Fail,
    /// The step is tried again, `retries` times; then the run fails.
    Retry,
    /// The step is skipped: its output is absent, and the run goes on.
    Skip,
    /// A person says whether to try again, to skip or to fail.
    Ask,
}

impl OnFailure {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a step is given: a name, and perhaps what it is for. Written as the name alone, or as
/// `{name, description}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// The name.
    pub name: Name,
    /// What it is for.
    pub description: Option<String>,
}

impl From<Name> for Variable {
    fn from(name: Name) -> Self {
        Self { name, description: None }
    }
}

impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Long<'a> {
            name: &'a Name,
            description: &'a str,
        }
        match &self.description {
            None => self.name.serialize(serializer),
            Some(description) => Long { name: &self.name, description }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Short(Name),
            Long {
                name: Name,
                #[serde(default)]
                description: Option<String>,
            },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Short(name) => name.into(),
            Written::Long { name, description } => Self { name, description: description.filter(|d| !d.is_empty()) },
        })
    }
}

/// In files it is the name alone.
impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        Name::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Name::json_schema(generator)
    }
}

impl Plan {
    /// The fingerprint of everything that it says: what people allow is this plan and no other.
    pub fn digest(&self) -> String {
        // A plan always serialises: its maps have string keys, which are kept sorted.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(&Sha256::digest(json)[..16])
    }

    /// The steps that have to end before a step begins, by their places. They are earlier ones, whatever the plan says.
    pub fn needs(&self, step: usize) -> Vec<usize> {
        let Some(this) = self.steps.get(step) else { return Vec::new() };
        let Some(depends_on) = &this.depends_on else {
            // In order: whatever was side by side before has ended, too.
            return (0..step).collect();
        };
        let named = this.names();
        let is_needed = |other: &PlanStep| named.contains(&other.output) || depends_on.contains(&other.output);
        (0..step).filter(|place| is_needed(&self.steps[*place])).collect()
    }
}

impl PlanStep {
    /// The names whose values it uses, in its inputs and its condition.
    pub fn names(&self) -> Vec<Name> {
        let inputs = self.inputs.iter().map(|input| input.name.clone());
        let condition = self.condition.iter().flat_map(|text| references(text)).map(|reference| reference.name);
        inputs.chain(condition).collect()
    }

    /// When it is wanted. One that cannot be read as an expression and looks like none is a sentence.
    pub fn wanted_if(&self) -> Option<Condition> {
        self.condition.as_deref().map(Condition::of)
    }
}

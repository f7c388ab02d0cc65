//! The planner: what a model is told to make a plan, and what becomes of its answer. Pure.

use greenroom_config::{
    AgentSpec,
    spec::{Collaboration, ToolConfig},
};
use greenroom_contract::{
    AgentId,
    plan::{Plan, PlanInput, PlanStep, Task, check},
    port::llm::{Message, OutputForm, Request, Role},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::outcome::unfenced;

/// How often the model is asked for a plan.
pub(super) const TRIES: u32 = 3;

const RULES: &str = "You make a plan for a task that other agents carry out, step by step.
- Each step is one task for one agent of the list. Choose it by its description and tools. Never invent an agent.
- An agent sees its task and the values of the `inputs` that you name for it, and nothing else: not the whole task, not other
  steps. Write tasks so that they can be understood by themselves. Copy ids, names, numbers and addresses word by word.
- `output` names what a step puts out: a `$` and a word, each used once. `inputs` name earlier outputs and inputs of the plan.
- `$task` stands for the whole task, for agents that need its words.
- Do not guess what a step will put out, and do not do the work yourself.
- `depends_on` lists earlier outputs that have to be there first, besides the step's inputs; an empty list lets a step begin at
  once, beside others. With null it waits for all steps before it.
- `condition` is null, or says when the step is wanted: an expression such as `$verdict == \"approve\"`, or a sentence. It
  stands there and not in the task.
- The output of the last step is the result.
- Use as few steps as the task needs, and at least one.
- If the task cannot be done by these agents, give no steps and say why in `error`.";

/// An agent of the collaboration, as the planner knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Candidate {
    agent: AgentId,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<String>,
}

impl Candidate {
    pub(super) fn of(agent: &AgentId, spec: Option<&AgentSpec>) -> Self {
        let tools = spec.iter().flat_map(|spec| &spec.tools).flat_map(tool_words).collect();
        Self { agent: agent.clone(), description: spec.and_then(|spec| spec.description.clone()), tools }
    }
}

/// The tools of a server are known by what its list allows; without one, by the server.
fn tool_words(tool: &ToolConfig) -> Vec<String> {
    match tool {
        ToolConfig::Builtin(tool) => vec![tool.builtin.as_str().to_owned()],
        ToolConfig::Mcp(tool) if !tool.mcp.allow.is_empty() => tool.mcp.allow.clone(),
        ToolConfig::Mcp(_) => Vec::new(),
    }
}

/// Asks for a plan. `errors` is what was wrong with the last one.
pub(super) fn request(
    spec: &AgentSpec,
    collaboration: &Collaboration,
    task: &Task,
    cast: &[Candidate],
    today: Timestamp,
    errors: &[String],
) -> Request {
    let asked = json!({
        "task": task.task,
        "agents": cast,
        "plan_inputs": task.inputs.keys().collect::<Vec<_>>(),
        "examples": collaboration.examples,
        "today": today.strftime("%A, %Y-%m-%d").to_string(),
        "errors_of_your_last_plan": errors,
    });
    let system = spec.system_prompt.iter().map(String::as_str).chain([RULES]).collect::<Vec<_>>().join("\n\n");
    Request {
        system: Some(system),
        messages: vec![Message::text(Role::User, asked.to_string())],
        tools: Vec::new(),
        max_tokens: spec.llm_config.max_tokens,
        temperature: spec.llm_config.temperature,
        effort: spec.llm_config.effort,
        output: Some(OutputForm { name: "plan".to_owned(), schema: form(&collaboration.agents) }),
        idempotency_key: String::new(),
        silence: spec.limits.silence.0,
    }
}

/// The form of the answer. Every field is required, because some providers want that; most may be null.
fn form(agents: &[AgentId]) -> Value {
    let optional_text = json!({ "type": ["string", "null"] });
    let names = json!({ "type": "array", "items": { "type": "string" } });
    let maybe_names = json!({ "type": ["array", "null"], "items": { "type": "string" } });
    let step = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["task", "agent", "role", "inputs", "output", "condition", "depends_on"],
        "properties": {
            "task": { "type": "string" },
            "agent": { "type": "string", "enum": agents },
            "role": optional_text,
            "inputs": names,
            "output": { "type": "string" },
            "condition": optional_text,
            "depends_on": maybe_names,
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["steps", "error"],
        "properties": { "steps": { "type": "array", "items": step }, "error": optional_text },
    })
}

/// What a planner's answer is.
#[derive(Debug, PartialEq)]
pub(super) enum Planned {
    /// A plan without faults.
    Plan(Plan),
    /// Not yet: what is wrong with it.
    Faulty(Vec<String>),
    /// It says that there is no plan for this.
    Refused(String),
}

/// Reads a planner's answer.
pub(super) fn read(answer: &str, task: &Task, agents: &[AgentId]) -> Planned {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        steps: Vec<PlanStep>,
        #[serde(default)]
        error: Option<String>,
    }
    let answer: Answer = match serde_json::from_str(unfenced(answer)) {
        Ok(answer) => answer,
        Err(why) => return Planned::Faulty(vec![format!("the answer cannot be read as a plan: {why}")]),
    };
    if let Some(why) = answer.error.filter(|why| !why.trim().is_empty() && answer.steps.is_empty()) {
        return Planned::Refused(why);
    }
    let input =
        |name: &greenroom_contract::plan::Name| PlanInput { name: name.clone(), description: None, value: None };
    let plan = Plan { inputs: task.inputs.keys().map(input).collect(), steps: answer.steps };
    let faults = check(&plan, agents);
    if faults.is_empty() {
        Planned::Plan(plan)
    } else {
        Planned::Faulty(faults.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> Vec<AgentId> {
        vec!["ada".parse().unwrap(), "bob".parse().unwrap()]
    }

    #[test]
    fn a_plan_is_read_with_the_task_s_inputs_and_its_faults_are_named() {
        let task = Task {
            task: "Write".into(),
            inputs: [("topic".parse().unwrap(), json!("actors"))].into(),
            ..Task::default()
        };
        let answer = |agent: &str, input: &str| {
            let step = json!({ "task": "Look", "agent": agent, "role": null, "inputs": [input], "output": "$facts",
                               "condition": null, "depends_on": null });
            format!("```json\n{}\n```", json!({ "steps": [step], "error": null }))
        };
        let Planned::Plan(plan) = read(&answer("ada", "$topic"), &task, &agents()) else { panic!("it is a plan") };
        assert_eq!((plan.inputs.len(), plan.steps.len()), (1, 1));
        let Planned::Faulty(faults) = read(&answer("eve", "$more"), &task, &agents()) else { panic!("it is faulty") };
        assert!(faults[0].contains("eve is not one of the collaboration") && faults[1].contains("$more"), "{faults:?}");
        assert!(matches!(read("no", &task, &agents()), Planned::Faulty(_)));
        assert!(matches!(read("{\"steps\": []}", &task, &agents()), Planned::Faulty(_)));
        assert_eq!(
            read(r#"{"steps": [], "error": "nobody can"}"#, &task, &agents()),
            Planned::Refused("nobody can".into())
        );
    }

    #[test]
    fn the_planner_is_told_what_it_needs() {
        let yaml = json!({
            "name": "lead", "agent_type": "t", "execution_mode": "collaborative", "llm_config": { "provider": "scripted" },
            "system_prompt": "You lead.", "collaboration": { "agents": ["ada", "bob"] },
        });
        let spec: AgentSpec = serde_json::from_value(yaml).unwrap();
        let cast = [Candidate {
            agent: agents()[0].clone(),
            description: Some("Looks things up".into()),
            tools: vec!["http_fetch".into()],
        }];
        let task = Task { task: "Write about actors".into(), ..Task::default() };
        let errors = ["steps[0].agent eve is nobody".to_owned()];
        let collaboration = spec.collaboration.clone().unwrap();
        let request = request(&spec, &collaboration, &task, &cast, Timestamp::UNIX_EPOCH, &errors);
        let said = serde_json::to_string(&request.messages).unwrap();
        for part in ["Write about actors", "Looks things up", "http_fetch", "Thursday, 1970-01-01", "eve is nobody"] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        assert!(request.system.unwrap().starts_with("You lead.\n\nYou make a plan"));
        assert_eq!(
            request.output.unwrap().schema["properties"]["steps"]["items"]["properties"]["agent"]["enum"],
            json!(agents())
        );
    }
}

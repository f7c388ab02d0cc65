//! Who answers an agent's questions, and what happens when nobody does.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HumanDuration;

/// Who answers an agent's questions, and what happens when nobody does: questions by `ask_human`, permissions for tools and plans,
/// spent budgets, calls that broke off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Clarifications {
    /// Who may answer, by the names under which the doors know them: `--by` of the command line, `by` of the API, `slack:TEAM:USER`. Empty:
    /// whoever the door lets in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 50), inner(length(min = 1, max = 200)))]
    pub approvers: Vec<String>,
    /// How long there is for an answer, for questions that leave more time or any. Absent: they wait for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub expires: Option<HumanDuration>,
    /// What counts when nobody has answered in time.
    #[garde(skip)]
    pub on_expiry: OnExpiry,
    /// Who may answer then, with `on_expiry: escalate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub escalate: Option<Escalate>,
}

impl Clarifications {
    /// Whether nothing of it was written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What counts when nobody has answered in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// The question's default, if it has one; otherwise there is no answer.
    #[default]
    Default,
    /// There is no answer, also where the question has a default: who asked is told so, and permissions are refused.
    Fail,
    /// Others may answer, too, for a while; then it is as with `default`.
    Escalate,
}

/// Who may answer when nobody else has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// Who, besides those who could before.
    #[garde(length(min = 1, max = 50), inner(length(min = 1, max = 200)))]
    pub to: Vec<String>,
    /// How long they have.
    #[garde(skip)]
    pub within: HumanDuration,
}

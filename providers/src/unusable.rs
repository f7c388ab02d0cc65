//! Why an agent cannot have the model or the tools that its file asks for.

/// Something that an agent needs cannot be used, found out before the agent runs. The agent becomes `unavailable` with
/// this reason (R1.3); the others start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Unusable {
    /// What is wrong, naming the provider, variable or server. Never a secret's value.
    pub reason: String,
    /// What the operator can do about it.
    pub remedy: String,
}

impl Unusable {
    /// Both halves of the message.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }
}

//! How hard a Claude thinks, at Anthropic and on Bedrock.

use greenroom_contract::port::llm::Effort;

use crate::pricing::Thinking;

/// `thinking.type` and the word of effort for what is asked for, as far as the model has the choice.
pub(crate) fn thought(thinking: Thinking, effort: Option<Effort>) -> (Option<&'static str>, Option<&'static str>) {
    match (thinking, effort) {
        (_, None) | (Thinking::Never, Some(_)) => (None, None),
        // It cannot be switched off: the least is the nearest.
        (Thinking::Always, Some(Effort::None)) => (None, Some(Effort::Low.as_str())),
        (Thinking::Always, Some(effort)) => (None, Some(effort.as_str())),
        (Thinking::Choice, Some(Effort::None)) => (Some("disabled"), None),
        (Thinking::Choice, Some(effort)) => (Some("adaptive"), Some(effort.as_str())),
    }
}

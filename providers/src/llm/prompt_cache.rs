//! For how long a provider is asked to remember the beginning of a conversation.

use greenroom_config::spec::PromptCache;
use greenroom_contract::port::llm::Request;

/// For how long, as the vendors write it; `None`: not at all.
///
/// Writing costs more than sending, reading much less. Without the operator's word a conversation that will be sent again
/// is remembered: one that offers tools or has come beyond its first question. A single question is not.
pub(crate) fn time(cache: PromptCache, request: &Request) -> Option<&'static str> {
    match cache {
        PromptCache::Off => None,
        PromptCache::FiveMinutes => Some("5m"),
        PromptCache::Hour => Some("1h"),
        PromptCache::Auto => (!request.tools.is_empty() || request.messages.len() > 1).then_some("5m"),
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::port::llm::{Message, Role};

    use super::*;
    use crate::llm::testing::request;

    #[test]
    fn what_will_be_sent_again_is_remembered() {
        let mut request = request("hi");
        assert_eq!(time(PromptCache::Auto, &request), None);
        assert_eq!(time(PromptCache::Hour, &request), Some("1h"));
        request.messages.push(Message::text(Role::Assistant, "yes?"));
        assert_eq!(time(PromptCache::Auto, &request), Some("5m"));
        assert_eq!(time(PromptCache::Off, &request), None);
    }
}

//! What a continuous agent keeps in view of a conversation that gets long.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a continuous agent keeps in view of a conversation that gets long. The whole of it stays in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct Conversation {
    /// What becomes of messages that are beyond `limits.history` or `keep_tokens`.
    #[garde(skip)]
    pub policy: ConversationPolicy,
    /// At most about so many tokens of the newest messages are sent as they were said, besides `limits.history`. Absent,
    /// `summary` takes half of the model's context, and `window` all that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 100, max = 10_000_000)))]
    pub keep_tokens: Option<u32>,
    /// How long a summary may get, in tokens.
    #[garde(range(min = 50, max = 20_000))]
    pub summary_tokens: u32,
    /// Facts that are always in view, whatever falls out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), inner(length(min = 1, max = 4000)))]
    pub pinned: Vec<String>,
    /// What the agent keeps with `remember` under these keys is always in view, too: whole keys, or their beginning and `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100), inner(length(min = 1, max = 200)))]
    pub pinned_memories: Vec<String>,
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            policy: ConversationPolicy::Window,
            keep_tokens: None,
            summary_tokens: 600,
            pinned: Vec::new(),
            pinned_memories: Vec::new(),
        }
    }
}

impl Conversation {
    /// Whether nothing of it was written.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of the older part of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationPolicy {
    /// The model does not see it any more.
    #[default]
    Window,
    /// The agent's model writes a summary of it, which is in view from then on. It is brought on when about half of what
    /// is in view has to go, not with each event.
    Summary,
}

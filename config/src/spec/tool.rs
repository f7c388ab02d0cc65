//! What an agent can do besides thinking.

use garde::Validate;
use greenroom_contract::AgentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mcp::McpServer;
use crate::HumanDuration;

/// A tool or a server of tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "an agent has a handful of them")]
pub enum ToolConfig {
    /// A tool that Greenroom brings.
    Builtin(#[garde(dive)] BuiltinTool),
    /// A server that speaks the Model Context Protocol.
    Mcp(#[garde(dive)] McpTool),
}

/// A tool that Greenroom brings. `answer_within` is for `ask_human` and `ask_agent`, `agents` for `ask_agent`; the other keys but
/// `builtin` are for `http_fetch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct BuiltinTool {
    /// Which tool it is.
    #[garde(skip)]
    pub builtin: Builtin,
    /// The hosts that `http_fetch` may ask, for example `docs.rs` or `*.example.com`; `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(inner(length(min = 1)))]
    pub hosts: Vec<String>,
    /// Whether `http_fetch` may also ask addresses of this machine and of private networks, which it refuses otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub private_addresses: bool,
    /// The most bytes that `http_fetch` reads of a page; the rest is cut off, and said so (100000 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 16_777_216)))]
    pub max_bytes: Option<u32>,
    /// How long `http_fetch` may take in all, redirects included (20s if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub timeout: Option<HumanDuration>,
    /// The agents that `ask_agent` may ask, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub agents: Vec<AgentId>,
    /// How long people have for an answer to `ask_human` (for ever if absent), or agents for one to `ask_agent` (5m if absent);
    /// the model is then told that nobody gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub answer_within: Option<HumanDuration>,
}

impl BuiltinTool {
    /// The tool, with nothing said about it.
    pub fn plain(builtin: Builtin) -> Self {
        Self {
            builtin,
            hosts: Vec::new(),
            private_addresses: false,
            max_bytes: None,
            timeout: None,
            agents: Vec::new(),
            answer_within: None,
        }
    }
}

/// The tools that Greenroom brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Sends an event to a topic, once, with the transaction that finishes the execution.
    EmitEvent,
    /// Tells the date and time.
    CurrentTime,
    /// Reads a page or file of the web, from the hosts that it is allowed to ask.
    HttpFetch,
    /// Keeps a short text in mind under a key, over conversations and restarts, for this agent alone.
    Remember,
    /// Tells what was kept in mind.
    Recall,
    /// Asks another agent; the execution waits for the answer and holds nothing meanwhile.
    AskAgent,
    /// Asks a person; the execution waits for the answer, however long it takes, and holds nothing meanwhile.
    AskHuman,
}

impl Builtin {
    /// The word, which is also the tool's name for the model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmitEvent => "emit_event",
            Self::CurrentTime => "current_time",
            Self::HttpFetch => "http_fetch",
            Self::Remember => "remember",
            Self::Recall => "recall",
            Self::AskAgent => "ask_agent",
            Self::AskHuman => "ask_human",
        }
    }
}

/// A server that speaks the Model Context Protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct McpTool {
    /// The server.
    #[garde(dive)]
    pub mcp: McpServer,
}

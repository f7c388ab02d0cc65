//! What an agent can do besides thinking.

use std::collections::BTreeMap;

use garde::Validate;
use greenroom_contract::execution::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HumanDuration;

/// A tool or a server of tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(untagged)]
pub enum ToolConfig {
    /// A tool that Greenroom brings.
    Builtin(#[garde(skip)] BuiltinTool),
    /// A server that speaks the Model Context Protocol.
    Mcp(#[garde(dive)] McpTool),
}

/// A tool that Greenroom brings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuiltinTool {
    /// Which tool it is.
    pub builtin: Builtin,
}

/// The tools that Greenroom brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Sends an event to a topic, once, with the transaction that finishes the execution.
    EmitEvent,
    /// Tells the date and time.
    CurrentTime,
}

impl Builtin {
    /// The word, which is also the tool's name for the model.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EmitEvent => "emit_event",
            Self::CurrentTime => "current_time",
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

/// How to reach an MCP server: either `command` (stdio) or `url` (streamable HTTP).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// The program that speaks MCP on its standard input and output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub command: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub args: Vec<String>,
    /// Variables for the program: name in its environment → name in ours, so that no secret stands in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(skip)]
    pub env_from: BTreeMap<String, String>,
    /// The server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub url: Option<String>,
    /// How we say who we are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub auth: Option<Auth>,
    /// Only tools whose name fits one of these (`*` stands for any text); absent means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub allow: Vec<String>,
    /// What a second call of these tools would do; it decides what happens to a call that a crash interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub effect: Option<Effect>,
    /// How long the server may take to start and list its tools.
    #[serde(default = "default_start_timeout")]
    #[garde(skip)]
    pub start_timeout: HumanDuration,
}

fn default_start_timeout() -> HumanDuration {
    HumanDuration::from_secs(20)
}

/// Credentials, by the name of the variable that holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The environment variable that holds a bearer token.
    #[garde(length(min = 1))]
    pub bearer_env: String,
}

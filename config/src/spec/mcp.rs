//! A server of the Model Context Protocol: how it is reached, and what an agent may do with its tools.

use std::collections::BTreeMap;

use garde::Validate;
use greenroom_contract::execution::Effect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HumanDuration;

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
    /// Headers that go with each request: name of the header → the environment variable that holds its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(skip)]
    pub headers_from: BTreeMap<String, String>,
    /// Only tools whose name fits one of these (`*` stands for any text); absent means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub allow: Vec<String>,
    /// What a second call of these tools would do; it decides what happens to a call that a crash interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub effect: Option<Effect>,
    /// The same for single tools: a tool's name, or a pattern with `*` → its effect. A whole name counts before a
    /// pattern, a longer pattern before a shorter one, and each of them before `effect`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(skip)]
    pub effects: BTreeMap<String, Effect>,
    /// Tools of which each call is made only when a person has allowed it, with exactly its arguments: their names, or
    /// patterns with `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub confirm: Vec<String>,
    /// How long a call may go without a sign of life: a tool's name, or a pattern with `*` → a duration. Other tools
    /// have `limits.tool_timeout`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(skip)]
    pub timeouts: BTreeMap<String, HumanDuration>,
    /// The most bytes of an answer that the model is shown; the rest is cut off, and said so (100000 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 100, max = 16_777_216)))]
    pub max_output_bytes: Option<u32>,
    /// Whether agents that reach the server in the same way use one connection, or one process, together. Otherwise each
    /// has its own, and no agent notices what another does to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub shared: bool,
    /// How long the server may take to start and list its tools.
    #[serde(default = "default_start_timeout")]
    #[garde(skip)]
    pub start_timeout: HumanDuration,
}

fn default_start_timeout() -> HumanDuration {
    HumanDuration::from_secs(20)
}

/// Credentials, by the names of the variables that hold them: either `bearer_env` or `oauth`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The environment variable that holds a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub bearer_env: Option<String>,
    /// Access tokens are got by client credentials, and renewed before they run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub oauth: Option<OAuth>,
}

/// OAuth 2 with client credentials: no person is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// The environment variable that holds the client's id.
    #[garde(length(min = 1))]
    pub client_id_env: String,
    /// The environment variable that holds the client's secret.
    #[garde(length(min = 1))]
    pub client_secret_env: String,
    /// Where tokens are given; absent means that the server is asked where, as the protocol says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub token_url: Option<String>,
    /// What the token is to allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(skip)]
    pub scopes: Vec<String>,
}

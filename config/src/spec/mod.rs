//! The YAML's types. Doc comments here are the manual: they become the descriptions in the JSON Schema.

mod agent;
mod limits;
mod llm;
mod model;
mod tool;

pub use agent::{AgentSpec, Idle, MissedPolicy, Mode, OverlapPolicy, Schedule};
pub use limits::{BudgetUsd, Limits, RetryBackoff, Supervision};
pub use llm::{Fallback, LlmConfig, Provider, ScriptRule, ScriptedTool};
pub use model::{AnthropicOptions, AnthropicVersion, CapabilityWords, Price, PromptCache, ThinkingWord};
pub use tool::{Auth, Builtin, BuiltinTool, McpServer, McpTool, ToolConfig};

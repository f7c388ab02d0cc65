//! The YAML's types. Doc comments here are the manual: they become the descriptions in the JSON Schema.

mod agent;
mod clarifications;
mod collaboration;
mod conversation;
mod limits;
mod llm;
mod mcp;
mod model;
mod providers;
mod tool;

pub use agent::{AgentSpec, Idle, MissedPolicy, Mode, OverlapPolicy, Schedule};
pub use clarifications::{Clarifications, Escalate, OnExpiry};
pub use collaboration::{Approve, Collaboration, NotReady, PlanExample, ResultOf};
pub use conversation::{Conversation, ConversationPolicy};
pub use limits::{BudgetUsd, Limits, OnUnknown, RetryBackoff, Supervision, WhenSpent};
pub use llm::{Api, Fallback, LlmConfig, OllamaOptions, Output, Provider, ScriptRule, ScriptedTool};
pub use mcp::{Auth, McpServer, OAuth};
pub use model::{AnthropicOptions, AnthropicVersion, CapabilityWords, Price, PromptCache, ThinkingWord};
pub use providers::{BreakerSettings, KeyLimit, ProviderRules};
pub use tool::{Builtin, BuiltinTool, McpTool, ToolConfig};

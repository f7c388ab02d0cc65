//! Which built-in tool is which.

use greenroom_config::spec::{Builtin, BuiltinTool};
use greenroom_contract::{
    Clock,
    call::AgentCall,
    port::tool::{Answer, Call, ToolSpec},
};
use serde_json::Value;

use super::{ask_agent::AskAgent, ask_human, current_time, emit_event, http_fetch::HttpFetch, memory};
use crate::Unusable;

/// A built-in tool, ready to be called.
pub(in crate::tools) enum Ready {
    EmitEvent,
    CurrentTime,
    HttpFetch(Box<HttpFetch>),
    Remember,
    Recall,
    AskAgent(AskAgent),
    AskHuman { answer_within_s: Option<u64> },
}

impl Ready {
    /// Makes it ready.
    pub(in crate::tools) fn new(tool: &BuiltinTool) -> Result<Self, Unusable> {
        Ok(match tool.builtin {
            Builtin::EmitEvent => Self::EmitEvent,
            Builtin::CurrentTime => Self::CurrentTime,
            Builtin::Remember => Self::Remember,
            Builtin::Recall => Self::Recall,
            Builtin::AskHuman => {
                Self::AskHuman { answer_within_s: tool.answer_within.map(|within| within.0.as_secs().max(1)) }
            }
            Builtin::AskAgent => Self::AskAgent(AskAgent::new(tool)),
            Builtin::HttpFetch => Self::HttpFetch(Box::new(HttpFetch::new(tool)?)),
        })
    }

    /// The tool as the model sees it.
    pub(in crate::tools) fn spec(&self) -> ToolSpec {
        match self {
            Self::EmitEvent => emit_event::spec(),
            Self::CurrentTime => current_time::spec(),
            Self::HttpFetch(tool) => tool.spec(),
            Self::Remember => memory::remember_spec(),
            Self::Recall => memory::recall_spec(),
            Self::AskAgent(tool) => tool.spec(),
            Self::AskHuman { .. } => ask_human::spec(),
        }
    }

    /// What it asks of another agent, if that is what it does.
    pub(in crate::tools) fn calls_agent(&self, input: &Value) -> Option<Result<AgentCall, String>> {
        match self {
            Self::AskAgent(tool) => Some(tool.call(input)),
            _ => None,
        }
    }

    /// Calls it. Wrong arguments are the tool's own failure, which the model may read and mend.
    pub(in crate::tools) async fn call(&self, call: &Call, clock: &dyn Clock) -> Answer {
        match self {
            Self::EmitEvent => emit_event::call(&call.input),
            Self::CurrentTime => current_time::call(&call.input, clock),
            Self::HttpFetch(tool) => tool.call(call).await,
            Self::Remember => memory::remember(call).await,
            Self::Recall => memory::recall(call).await,
            // Its execution makes the call.
            Self::AskAgent(_) => Answer::error("ask_agent is no call of its own"),
            Self::AskHuman { answer_within_s } => ask_human::call(&call.input, *answer_within_s),
        }
    }
}

//! Tools: what an agent can do besides thinking.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    BoxFuture,
    call::AgentCall,
    clarification::Question,
    execution::Effect,
    id::{AgentId, ExecutionId, TraceId},
    port::{
        llm::Image,
        memory::{Mind, Remember},
    },
};

/// A tool as the model sees it, with the effect that decides its fate in a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name, unique within the agent.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// What a second call would do.
    pub effect: Effect,
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its arguments, a JSON object.
    pub input: Value,
    /// The key by which the tool recognises a repetition, where it can.
    pub idempotency_key: String,
    /// On whose behalf.
    pub agent: AgentId,
    /// In which execution.
    pub execution: ExecutionId,
    /// In which workflow.
    pub trace_id: TraceId,
    /// How long it may go without a sign of life.
    pub timeout: Duration,
    /// By which it gives one.
    pub life: Life,
    /// What the agent keeps in mind.
    pub mind: Mind,
}

/// How a tool says during a call that it is getting on. Clones are the same call's.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<Notify>);

impl Life {
    /// Gives a sign of life. Signs that nobody has heard yet count as one.
    pub fn sign(&self) {
        self.0.notify_one();
    }

    /// Resolves at the next sign of life.
    pub async fn heard(&self) {
        self.0.notified().await;
    }
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer, for the model.
    pub content: String,
    /// Whether the tool says that it failed. The model may then try something else.
    #[serde(default)]
    pub is_error: bool,
    /// Pictures that belong to the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Events that the call asks to be sent. They go out with the transaction that finishes the execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emits: Vec<Emit>,
    /// What the call asks to be kept in mind. It takes effect with that transaction, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remembers: Vec<Remember>,
    /// A question to people: the execution waits, and their answer is the tool's. The rest of this answer counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<Question>,
}

impl Answer {
    /// A good answer of plain text.
    pub fn text(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            is_error: false,
            images: Vec::new(),
            emits: Vec::new(),
            remembers: Vec::new(),
            asks: None,
        }
    }

    /// The tool's own failure, which the model may read and work round.
    pub fn error(content: impl Into<String>) -> Self {
        Self { is_error: true, ..Self::text(content) }
    }

    /// A question to people.
    pub fn asks(question: Question) -> Self {
        Self { asks: Some(question), ..Self::text("") }
    }
}

/// An event to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Emit {
    /// The topic.
    pub topic: String,
    /// What it says.
    pub payload: Value,
}

/// A call that has no answer: the tool could not be asked, or its outcome is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The agent has no such tool.
    #[error("there is no tool {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The tool server is down or not reachable; the call was not made.
    #[error("tool {name:?} is unavailable: {reason}")]
    Unavailable {
        /// The tool.
        name: String,
        /// Why.
        reason: String,
    },
    /// No answer came in time, or the server died during the call: it may or may not have happened.
    #[error("the outcome of tool {name:?} is unknown: {reason}")]
    OutcomeUnknown {
        /// The tool.
        name: String,
        /// What happened.
        reason: String,
    },
}

/// The tools of one agent. An agent sees no other's (R5.2).
pub trait Toolset: Send + Sync + 'static {
    /// The tools that can be asked for now. A server that is down has none here.
    fn list(&self) -> Vec<ToolSpec>;

    /// The names of these tools alone.
    fn names(&self) -> Vec<String> {
        self.list().into_iter().map(|tool| tool.name).collect()
    }

    /// Whether a person has to allow each call of this tool; `None` if no such tool is known now. Who calls asks first, and
    /// does not call what is not known.
    fn confirms(&self, name: &str) -> Option<bool>;

    /// What a tool asks of another agent, if that is what it does; or why it cannot be asked. The execution then makes that call
    /// instead of [`Self::call`], and the other's answer is the tool's.
    fn calls_agent(&self, name: &str, input: &Value) -> Option<Result<AgentCall, String>> {
        let _ = (name, input);
        None
    }

    /// Calls a tool.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, Error>>;

    /// Why some tools are missing now, one line for each server that is down; empty when all is well.
    fn degraded(&self) -> Vec<String>;

    /// Ends the tool servers that belong to this set, and resolves when they are gone.
    fn close(&self) -> BoxFuture<'_, ()>;
}

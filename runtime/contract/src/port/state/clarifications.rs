//! Questions to people.

use jiff::Timestamp;
use serde_json::Value;

use super::{NewCall, Outgoing, Result};
use crate::{
    BoxFuture,
    clarification::{Card, Clarification, Question},
    event::ReplyTo,
    execution::Fence,
    id::{AgentId, ClarificationId, ExecutionId},
    page::{Page, PageRequest},
    plan::NewPlanRun,
    status::{ClarificationStatus, Purpose, StepStatus},
};

/// The end of a run that goes on when people have answered, or other agents. What else it has called is settled before.
#[derive(Debug, Clone, Default)]
pub struct Wait {
    /// What people are asked.
    pub questions: Vec<Asked>,
    /// What other agents are asked. There is at least one question or call.
    pub calls: Vec<NewCall>,
    /// Where the person is with whom the agent talks, if it talks with one: kept with the questions.
    pub reply_to: Option<ReplyTo>,
    /// Events and replies to send.
    pub outbox: Vec<Outgoing>,
    /// How far the plan run is, where a coordinator waits.
    pub plan_run: Option<Box<NewPlanRun>>,
}

/// A question on its way into the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The step of the claimed attempt that asks. It stays intended, or unknown, until the answer settles it.
    pub seq: u32,
    /// Why.
    pub purpose: Purpose,
    /// What.
    pub question: Question,
}

/// The end of a question.
#[derive(Debug, Clone)]
pub struct Decision {
    /// `answered` or `expired`.
    pub status: ClarificationStatus,
    /// The answer, as [`Question::read`] gives it.
    pub answer: Option<Value>,
    /// Who gave it.
    pub by: String,
    /// How the step that asked ends: `settled` or `failed`, and its result.
    pub step: (StepStatus, Value),
    /// Events to send.
    pub outbox: Vec<Outgoing>,
}

/// A question that nobody has answered in time goes on as another.
#[derive(Debug, Clone)]
pub struct Escalated {
    /// Until when it was to be answered: somebody else may have seen to it.
    pub expired_at: Timestamp,
    /// The question from now on, which expires anew, counted from now.
    pub question: Question,
    /// Where the person is with whom the agent talks, as before.
    pub reply_to: Option<ReplyTo>,
    /// Events to send.
    pub outbox: Vec<Outgoing>,
}

/// What became of a decision.
#[derive(Debug, Clone)]
pub enum Decided {
    /// It counts.
    Now(Clarification),
    /// The question had its end before.
    Before(Clarification),
}

/// Which questions are wanted.
#[derive(Debug, Clone, Default)]
pub struct ClarificationFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of this execution.
    pub execution: Option<ExecutionId>,
    /// In this state.
    pub status: Option<ClarificationStatus>,
}

/// The questions of the store. A question ends once, whoever answers, and however many at once: the first counts.
/// Cancelling an execution cancels its open questions, and whoever is shown them is shown that; they are deleted with their
/// execution.
pub trait Clarifications: Send + Sync + 'static {
    /// Ends the run: the execution waits, nobody holds it, and its questions and calls are open. The same question or call
    /// made again keeps what it has. If one of the calls has ended meanwhile, the execution is queued at once.
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>>;

    /// Ends a question and settles its step. When it was the execution's last open one, the execution is queued and due.
    /// One that does not exist is [`Error::NotFound`](super::Error::NotFound).
    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>>;

    /// Has an open question go on as another, if it still expires when it did: says whether it does. Its step stays as it is.
    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>>;

    /// One question.
    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>>;

    /// Questions, newest first.
    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>>;

    /// Remembers that a question is shown in a message, so that the message can show its end; twice is once. The newest
    /// [`MOST_CARDS`](crate::clarification::MOST_CARDS) are kept. Returns the question as it is then;
    /// [`Error::NotFound`](super::Error::NotFound) if there is none.
    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>>;

    /// Open questions that it is too late to answer, the oldest first, at most `limit`.
    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>>;
}

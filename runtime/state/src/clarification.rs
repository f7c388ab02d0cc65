//! Waits for people and other agents, and questions to people, as both stores keep them.

use greenroom_contract::{
    AgentId, ClarificationId, ExecutionId, ReplyTo, TraceId,
    clarification::{Card, Clarification, MOST_CARDS, Question},
    clock::{from_millis, to_millis},
    execution::Fence,
    port::state::{Asked, Decision, Escalated, Outgoing, Result, Wait},
    status::{ClarificationStatus, Purpose, StepStatus},
};

use serde::{Deserialize, Serialize};

use crate::{
    call::Calling,
    codec::{self, Damaged, Stored},
    page::List,
    plan::NewRun,
    raw::open_or_say,
    refusal::{conflict, corrupt},
    row::NewRow,
};

/// Nobody waits for longer: a hundred years.
const LONGEST_WAIT_S: u64 = 100 * 366 * 24 * 3600;

/// The list of questions.
pub(crate) const LIST: List = List('c');

/// The columns of a question, in the order in which they are read. `c` is its row, `e` its execution's.
pub(crate) const COLUMNS: &str = "c.seq, c.id, e.id, c.agent, e.trace_id, c.attempt, c.step, c.purpose, c.status, \
     c.asked_at, c.expires_at, c.answered_by, c.answered_at, c.question, c.answer, e.event_type, c.cards";

/// A question as its row holds it.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    question: Question,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<ReplyTo>,
}

/// A wait, ready to be written.
pub(crate) struct NewWait {
    pub(crate) questions: Vec<NewQuestion>,
    pub(crate) calls: Vec<Calling>,
    pub(crate) outbox: Vec<NewRow>,
    pub(crate) plan_run: Option<NewRun>,
}

/// A question, ready to be written.
pub(crate) struct NewQuestion {
    pub(crate) seq: u32,
    pub(crate) purpose: Purpose,
    pub(crate) expires_in_ms: Option<i64>,
    pub(crate) body: Stored,
}

impl NewWait {
    pub(crate) fn prepare(wait: Wait) -> Result<Self> {
        if wait.questions.is_empty() && wait.calls.is_empty() {
            return Err(conflict("nobody waits for the answer to no question"));
        }
        Ok(Self {
            questions: (wait.questions.into_iter())
                .map(|asked| NewQuestion::prepare(asked, wait.reply_to.clone()))
                .collect::<Result<_>>()?,
            calls: wait.calls.into_iter().map(Calling::prepare).collect::<Result<_>>()?,
            outbox: rows(wait.outbox)?,
            plan_run: wait.plan_run.map(|run| NewRun::prepare(*run)).transpose()?,
        })
    }
}

impl NewQuestion {
    fn prepare(asked: Asked, reply_to: Option<ReplyTo>) -> Result<Self> {
        let Asked { seq, purpose, question } = asked;
        let expires_in_ms = question
            .expires_in_s
            .map(|secs| secs.min(LONGEST_WAIT_S))
            .map(|secs| i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX));
        let body = codec::encode_json(&Body { question, reply_to }).map_err(corrupt("a question"))?;
        Ok(Self { seq, purpose, expires_in_ms, body })
    }

    pub(crate) fn id(&self, fence: Fence, attempt: u32) -> ClarificationId {
        ClarificationId::of(fence.execution, attempt, self.seq)
    }

    /// When it is too late, if it is asked now.
    pub(crate) fn expires_at(&self, now: i64) -> Option<i64> {
        self.expires_in_ms.map(|wait| now.saturating_add(wait))
    }
}

/// A decision, ready to be written.
pub(crate) struct NewDecision {
    pub(crate) status: ClarificationStatus,
    pub(crate) answer: Option<Stored>,
    pub(crate) by: String,
    pub(crate) step: StepStatus,
    pub(crate) result: Stored,
    pub(crate) outbox: Vec<NewRow>,
}

impl NewDecision {
    pub(crate) fn prepare(decision: Decision) -> Result<Self> {
        let Decision { status, answer, by, step: (step, result), outbox } = decision;
        if !matches!(status, ClarificationStatus::Answered | ClarificationStatus::Expired) {
            return Err(conflict(format!("a question is not decided as {status}")));
        }
        if !matches!(step, StepStatus::Settled | StepStatus::Failed) {
            return Err(conflict("with its question's end a step is settled or failed"));
        }
        Ok(Self {
            status,
            answer: answer.as_ref().map(codec::encode_json).transpose().map_err(corrupt("an answer"))?,
            by,
            step,
            result: codec::encode_json(&result).map_err(corrupt("a step's result"))?,
            outbox: rows(outbox)?,
        })
    }
}

/// A question that goes on as another, ready to be written.
pub(crate) struct NewEscalation {
    pub(crate) expired_at: i64,
    pub(crate) question: NewQuestion,
    pub(crate) outbox: Vec<NewRow>,
}

impl NewEscalation {
    pub(crate) fn prepare(escalated: Escalated) -> Result<Self> {
        let Escalated { expired_at, question, reply_to, outbox } = escalated;
        // Its step and purpose stay as they are.
        let asked = Asked { seq: 0, purpose: Purpose::Tool, question };
        let question = NewQuestion::prepare(asked, reply_to)?;
        Ok(Self { expired_at: to_millis(expired_at), question, outbox: rows(outbox)? })
    }
}

fn rows(outbox: Vec<Outgoing>) -> Result<Vec<NewRow>> {
    outbox.into_iter().map(NewRow::outgoing).collect()
}

/// A question as its row has it.
pub(crate) struct RawClarification {
    pub(crate) row: i64,
    pub(crate) id: ClarificationId,
    pub(crate) execution_id: ExecutionId,
    pub(crate) agent: AgentId,
    pub(crate) trace_id: TraceId,
    pub(crate) attempt: u32,
    pub(crate) seq: u32,
    pub(crate) purpose: Purpose,
    pub(crate) status: ClarificationStatus,
    pub(crate) asked_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) answered_by: Option<String>,
    pub(crate) answered_at: Option<i64>,
    pub(crate) question: Stored,
    pub(crate) answer: Option<Stored>,
    pub(crate) event_type: String,
    pub(crate) cards: Option<String>,
}

impl RawClarification {
    /// Opens the payloads. One that is damaged says so in its place.
    pub(crate) fn open(self) -> (i64, Clarification) {
        let unreadable =
            |error: Damaged| Body { question: Question::input(format!("(unreadable: {error})")), reply_to: None };
        let body: Body = codec::decode_json(self.question).unwrap_or_else(unreadable);
        let opened = Clarification {
            id: self.id,
            execution_id: self.execution_id,
            agent: self.agent,
            trace_id: self.trace_id,
            event_type: self.event_type,
            attempt: self.attempt,
            seq: self.seq,
            purpose: self.purpose,
            question: body.question,
            status: self.status,
            asked_at: from_millis(self.asked_at),
            expires_at: self.expires_at.map(from_millis),
            answer: self.answer.map(open_or_say),
            answered_by: self.answered_by,
            answered_at: self.answered_at.map(from_millis),
            reply_to: body.reply_to,
            cards: cards(self.cards.as_deref()),
        };
        (self.row, opened)
    }
}

/// The messages that a question's row names.
fn cards(row: Option<&str>) -> Vec<Card> {
    row.and_then(|row| serde_json::from_str(row).ok()).unwrap_or_default()
}

/// The row's messages with one more; `None` if it is among them.
pub(crate) fn with_card(row: Option<&str>, card: &Card) -> Option<String> {
    let mut known = cards(row);
    if known.contains(card) {
        return None;
    }
    known.push(card.clone());
    let over = known.len().saturating_sub(MOST_CARDS);
    known.drain(..over);
    serde_json::to_string(&known).ok()
}

/// What tells the person who was shown a question that it was cancelled.
pub(crate) fn cancelled(id: ClarificationId, trace_id: TraceId, question: Stored) -> Option<NewRow> {
    let to = codec::decode_json::<Body>(question).ok()?.reply_to.filter(|to| matches!(to, ReplyTo::Slack(_)))?;
    let text = "The question is cancelled.".to_owned();
    NewRow::outgoing(Outgoing::Reply { to, text, is_error: false, card: Some(id), trace_id }).ok()
}

//! A step of the journal: what is asked, what it came to, and what a run before has left of it.

use greenroom_contract::{
    clarification::Question,
    execution::{Effect, Settled, Step, StepKind},
    money::MicroUsd,
    port::llm::Usage,
    status::{Purpose, StepStatus},
};
use serde_json::Value;
use tokio::time::Instant;

use super::trouble::Trouble;

/// What is to be called.
pub(crate) struct Ask {
    pub(crate) kind: StepKind,
    pub(crate) name: String,
    pub(crate) request_hash: String,
    pub(crate) effect: Effect,
}

/// What a call came to.
pub(crate) struct Outcome {
    pub(crate) status: StepStatus,
    pub(crate) result: Value,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<MicroUsd>,
    /// What is asked of people instead: the step has no outcome before they have answered.
    pub(crate) asks: Option<(Purpose, Question)>,
}

impl Outcome {
    /// That a question is asked of people.
    pub(crate) fn asks(purpose: Purpose, question: Question) -> Self {
        let asks = Some((purpose, question));
        Self { status: StepStatus::Intended, result: Value::Null, usage: None, cost: None, asks }
    }
}

/// What a run before this one has left of a step.
pub(super) enum Before {
    /// Nothing: it did not come so far.
    Nothing,
    /// Its intention.
    Intended,
    /// Its outcome.
    Ended(Box<Outcome>),
}

/// A step under way, as it is told of at its end.
pub(super) struct Told {
    pub(super) seq: u32,
    kind: StepKind,
    pub(super) name: String,
}

impl Told {
    pub(super) fn of(ask: &Ask, seq: u32) -> Self {
        Self { seq, kind: ask.kind, name: ask.name.clone() }
    }

    pub(super) fn settled(self, attempt: u32, outcome: &Outcome, started: Instant) -> Settled {
        let duration_ms = started.elapsed().as_millis() as u64;
        tracing::info!(
            step.seq = self.seq,
            step.kind = self.kind.as_str(),
            step.name = self.name,
            step.status = outcome.status.as_str(),
            step.duration_ms = duration_ms,
            "Step finished."
        );
        Settled {
            attempt,
            seq: self.seq,
            status: outcome.status,
            result: outcome.result.clone(),
            usage: outcome.usage,
            cost: outcome.cost,
            duration_ms,
        }
    }
}

/// A resumed attempt must ask what it asked before; anything else is a fault of the program, said loudly.
pub(super) fn check_same(step: &Step, ask: &Ask, seq: u32) -> Result<(), Trouble> {
    if step.seq == seq && step.name == ask.name && step.kind == ask.kind && step.request_hash == ask.request_hash {
        return Ok(());
    }
    let what = format!(
        "step {seq} was {} {} (request {}) before the restart and is {} {} (request {}) now; please report this",
        step.kind.as_str(),
        step.name,
        short(&step.request_hash),
        ask.kind.as_str(),
        ask.name,
        short(&ask.request_hash)
    );
    Err(Trouble::lasting("journal_mismatch", what))
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

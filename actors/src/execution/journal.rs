//! The journal of one attempt: each call is written before it is made and after it is finished.
//!
//! ```text
//!   intended 0 ∥ call 0 → settled 0 + intended 1 → call 1 → settled 1 + intended 2 → … → settled n + finish
//! ```
//!
//! A settled result is held back only until the next commit, which is made before anything else happens; a first call
//! without an effect runs beside the commit of its intention.

use std::{collections::VecDeque, future::Future, sync::Arc};

use greenroom_contract::{
    execution::{Effect, Failure, Fence, Intended, Settled, Step, StepKind},
    money::MicroUsd,
    port::{
        llm::Usage,
        state::{Error, State},
    },
    status::StepStatus,
};
use serde_json::Value;
use tokio::time::Instant;

use super::persist::persist_under;
use crate::watchdog::Pulse;

/// Why an attempt cannot go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
        /// Whether another attempt cannot mend it.
        lasting: bool,
    },
    /// The execution belongs to somebody else now: stop, write nothing.
    Fenced,
    /// It was asked to end before its work was done: stop, write nothing of an end; whoever asked says what follows.
    Cancelled,
}

impl Trouble {
    /// A failure that another attempt may mend.
    pub fn passing(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), lasting: false }
    }

    /// A failure that another attempt cannot mend.
    pub fn lasting(code: &str, message: impl Into<String>) -> Self {
        Self::Failed { failure: Failure::new(code, message), lasting: true }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced => Self::Fenced,
            Error::Conflict { what } => Self::lasting("journal_mismatch", what),
            other => Self::passing("store", other.to_string()),
        }
    }
}

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
}

pub(crate) struct Journal {
    state: Arc<dyn State>,
    fence: Fence,
    attempt: u32,
    /// Steps of an earlier run of this attempt, in order.
    replay: VecDeque<Step>,
    next: u32,
    /// The last call's result, written with the next commit.
    unsettled: Option<Settled>,
    pulse: Arc<Pulse>,
}

impl Journal {
    pub(crate) fn new(state: Arc<dyn State>, fence: Fence, attempt: u32, replay: Vec<Step>, pulse: Arc<Pulse>) -> Self {
        Self { state, fence, attempt, replay: replay.into(), next: 0, unsettled: None, pulse }
    }

    /// How many steps were made or replayed.
    pub(crate) fn len(&self) -> u32 {
        self.next
    }

    /// The effect with which the next step was made before a restart, if it is this one.
    pub(crate) fn effect_before(&self, kind: StepKind, name: &str) -> Option<Effect> {
        self.replay.front().filter(|step| step.kind == kind && step.name == name).map(|step| step.effect)
    }

    /// What the finishing transaction has to settle.
    pub(crate) fn take_unsettled(&mut self) -> Option<Settled> {
        self.unsettled.take()
    }

    /// Writes the last call's result without a next call: the attempt stops here, and whoever goes on with it finds the
    /// call made.
    pub(crate) async fn flush(&mut self) -> Result<(), Trouble> {
        let Some(settle) = self.unsettled.take() else { return Ok(()) };
        let (state, fence) = (Arc::clone(&self.state), self.fence);
        let write = persist_under(Some(&self.pulse), "step", move || {
            let (state, settle) = (Arc::clone(&state), settle.clone());
            async move { state.journal(fence, Some(settle), None).await }
        });
        Ok(write.await?)
    }

    /// Makes a call, or takes its outcome from the journal. `call` gets the idempotency key.
    pub(crate) async fn step<F, Fut>(&mut self, ask: Ask, call: F) -> Result<Outcome, Trouble>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        let seq = self.next;
        self.next += 1;
        let before = self.replay.pop_front();
        if let Some(step) = &before {
            check_same(step, &ask, seq)?;
            if let (StepStatus::Settled | StepStatus::Failed, Some(result)) = (step.status, step.result.clone()) {
                tracing::info!(step.seq = seq, step.name = ask.name, "A finished call is taken from the journal.");
                return Ok(Outcome { status: step.status, result, usage: step.usage, cost: step.cost });
            }
            if ask.effect == Effect::AtMostOnce {
                return Err(self.unknown(seq, &ask));
            }
        }
        let key = format!("{}/{}/{seq}", self.fence.execution, self.attempt);
        let (kind, name) = (ask.kind.as_str(), ask.name.clone());
        let intended = Intended {
            attempt: self.attempt,
            seq,
            kind: ask.kind,
            name: ask.name,
            request_hash: ask.request_hash,
            idempotency_key: key.clone(),
            effect: ask.effect,
        };
        let settle = self.unsettled.take();
        let may_overlap = settle.is_none() && ask.effect == Effect::None;
        let state = Arc::clone(&self.state);
        let fence = self.fence;
        let pulse = Arc::clone(&self.pulse);
        let write = persist_under(Some(&pulse), "step", move || {
            let (state, settle, intended) = (Arc::clone(&state), settle.clone(), intended.clone());
            async move { state.journal(fence, settle, Some(intended)).await }
        });
        let started = Instant::now();
        let outcome = if may_overlap {
            let (written, outcome) = futures::join!(write, call(key));
            written?;
            outcome
        } else {
            write.await?;
            call(key).await
        };
        let duration_ms = started.elapsed().as_millis() as u64;
        let status = outcome.status.as_str();
        tracing::info!(
            step.seq = seq,
            step.kind = kind,
            step.name = name,
            step.status = status,
            step.duration_ms = duration_ms,
            "Step finished."
        );
        self.unsettled = Some(Settled {
            attempt: self.attempt,
            seq,
            status: outcome.status,
            result: outcome.result.clone(),
            usage: outcome.usage,
            cost: outcome.cost,
            duration_ms,
        });
        Ok(outcome)
    }

    /// A call that a crash interrupted and that must not happen twice.
    fn unknown(&mut self, seq: u32, ask: &Ask) -> Trouble {
        self.unsettled = Some(Settled {
            attempt: self.attempt,
            seq,
            status: StepStatus::Unknown,
            result: Value::Null,
            usage: None,
            cost: None,
            duration_ms: 0,
        });
        Trouble::lasting(
            "outcome_unknown",
            format!(
                "the process died during step {seq} ({}), whose effect is at_most_once: it may or may not have happened; \
                 look, then replay the dead letter or purge it",
                ask.name
            ),
        )
    }
}

/// A resumed attempt must ask what it asked before; anything else is a fault of the program, said loudly.
fn check_same(step: &Step, ask: &Ask, seq: u32) -> Result<(), Trouble> {
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

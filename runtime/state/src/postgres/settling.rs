//! Outcomes of steps on their way in, column by column.

use greenroom_contract::{
    execution::Settled,
    port::state::{Error, Result},
    status::StepStatus,
};
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::columns::int4;
use crate::{
    codec,
    refusal::{conflict, corrupt, foreign_state, int, no_step, other_attempt, other_call, stale_state},
};

/// An outcome, ready to be written.
pub(super) struct Settling {
    step: Settled,
    usage: Option<Vec<u8>>,
    result: Vec<u8>,
}

impl Settling {
    pub(super) fn prepare(step: Settled) -> Result<Self> {
        if step.status == StepStatus::Intended {
            return Err(conflict("a step settles as settled, failed or unknown"));
        }
        let usage = step.usage.as_ref().map(codec::encode_json).transpose().map_err(corrupt("a step's usage"))?;
        let result = codec::encode_json(&step.result).map_err(corrupt("a step's result"))?.into_bytes();
        Ok(Self { step, usage: usage.map(codec::Stored::into_bytes), result })
    }

    pub(super) fn place(&self) -> (u32, u32) {
        (self.step.attempt, self.step.seq)
    }
}

/// The columns of many outcomes: a request without one has nulls in its place.
#[derive(Default)]
pub(super) struct Outcomes<'a> {
    attempt: Vec<Option<i32>>,
    seq: Vec<Option<i32>>,
    status: Vec<Option<&'static str>>,
    duration_ms: Vec<Option<i64>>,
    cost: Vec<Option<i64>>,
    usage: Vec<Option<&'a [u8]>>,
    result: Vec<Option<&'a [u8]>>,
    input: Vec<Option<i64>>,
    output: Vec<Option<i64>>,
    cache_read: Vec<Option<i64>>,
    cache_write: Vec<Option<i64>>,
    reasoning: Vec<Option<i64>>,
    estimated: Vec<Option<bool>>,
}

impl<'a> Outcomes<'a> {
    pub(super) fn push(&mut self, settling: Option<&'a Settling>) {
        let step = settling.map(|settling| &settling.step);
        let usage = step.and_then(|step| step.usage);
        self.attempt.push(step.map(|step| int4(step.attempt)));
        self.seq.push(step.map(|step| int4(step.seq)));
        self.status.push(step.map(|step| step.status.as_str()));
        self.duration_ms.push(step.map(|step| int(step.duration_ms)));
        self.cost.push(step.and_then(|step| step.cost).map(|cost| cost.0));
        self.usage.push(settling.and_then(|settling| settling.usage.as_deref()));
        self.result.push(settling.map(|settling| settling.result.as_slice()));
        self.input.push(usage.map(|usage| int(usage.input)));
        self.output.push(usage.map(|usage| int(usage.output)));
        self.cache_read.push(usage.map(|usage| int(usage.cache_read)));
        self.cache_write.push(usage.map(|usage| int(usage.cache_written())));
        self.reasoning.push(usage.map(|usage| int(usage.reasoning)));
        self.estimated.push(usage.map(|usage| usage.estimated));
    }

    /// Binds the columns as `$4` to `$16` of both statements that settle.
    pub(super) fn bind<'q>(self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.attempt)
            .bind(self.seq)
            .bind(self.status)
            .bind(self.duration_ms)
            .bind(self.cost)
            .bind(self.usage)
            .bind(self.result)
            .bind(self.input)
            .bind(self.output)
            .bind(self.cache_read)
            .bind(self.cache_write)
            .bind(self.reasoning)
            .bind(self.estimated)
    }
}

/// What both statements say of a request.
pub(super) struct Verdict {
    pub(super) word: String,
    /// The execution's own, where it is held.
    pub(super) attempt: u32,
    pub(super) agent: String,
}

impl Verdict {
    /// The verdict as the port says it. `settle`, `intend` and `state` are what was asked for.
    pub(super) fn judge(
        &self,
        settle: Option<(u32, u32)>,
        intend: Option<(u32, u32)>,
        state: Option<(&str, u64)>,
    ) -> Result<()> {
        let steps = || settle.into_iter().chain(intend);
        let refusal = match self.word.as_str() {
            "ok" => return Ok(()),
            "attempt" => {
                let other = steps().map(|(attempt, _)| attempt).find(|attempt| *attempt != self.attempt);
                other_attempt(self.attempt, other.unwrap_or_default())
            }
            "no step" => {
                let (attempt, seq) = settle.unwrap_or_default();
                no_step(seq, attempt)
            }
            "other call" => {
                let (attempt, seq) = intend.unwrap_or_default();
                other_call(seq, attempt)
            }
            "foreign state" => foreign_state(&self.agent, state.unwrap_or_default().0),
            "stale state" => {
                let (agent, replaces) = state.unwrap_or_default();
                stale_state(agent, replaces)
            }
            _ => Error::Fenced,
        };
        Err(refusal)
    }
}

//! The journal: a call is intended before it is made and settled before the next.

use greenroom_contract::{
    execution::{Fence, Intended, Settled},
    port::state::{Error, Result},
    status::StepStatus,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    job::{Job, refuse, run},
    store::SqliteState,
    usage,
};
use crate::{
    codec::{self, Stored},
    refusal::{conflict, corrupt, int, no_step, other_attempt, other_call},
};

/// An execution that the caller holds.
pub(super) struct Held {
    pub seq: i64,
    pub agent: String,
    pub attempt: u32,
}

/// Lets the holder of the newest claim pass, and nobody else. There is one writer, so it stays true for the whole job.
pub(super) fn hold(conn: &Connection, fence: Fence) -> Job<Held> {
    const SQL: &str = "SELECT seq, agent, attempt FROM executions WHERE id = ?1 AND epoch = ?2 AND status = 'running'";
    let held = conn
        .prepare_cached(SQL)?
        .query_row(params![fence.execution.as_bytes(), int(fence.epoch)], |row| {
            Ok(Held { seq: row.get(0)?, agent: row.get(1)?, attempt: row.get(2)? })
        })
        .optional()?;
    held.map_or_else(|| refuse(Error::Fenced), Ok)
}

pub(super) async fn journal(
    store: &SqliteState,
    fence: Fence,
    settle: Option<Settled>,
    intend: Option<Intended>,
) -> Result<()> {
    let now = store.now();
    let settle = settle.map(Settling::prepare).transpose()?;
    store
        .write(move |conn| {
            let held = hold(conn, fence)?;
            if let Some(settle) = &settle {
                settle.write(conn, &held, now)?;
            }
            if let Some(intend) = &intend {
                write_intended(conn, &held, intend, now)?;
            }
            Ok(())
        })
        .await
}

fn write_intended(conn: &Connection, held: &Held, step: &Intended, now: i64) -> Job<()> {
    // The same call intended again (its first try died with its process) keeps its row and its idempotency key.
    const SQL: &str = "INSERT INTO steps (execution, attempt, seq, kind, name, status, effect, request_hash, \
             idempotency_key, intended_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'intended', ?6, ?7, ?8, ?9) \
         ON CONFLICT (execution, attempt, seq) DO UPDATE SET intended_at = excluded.intended_at \
         WHERE status = 'intended' AND request_hash = excluded.request_hash";
    held.in_attempt(step.attempt)?;
    let written = run(
        conn,
        SQL,
        params![
            held.seq,
            step.attempt,
            step.seq,
            step.kind.as_str(),
            step.name,
            step.effect.as_str(),
            step.request_hash,
            step.idempotency_key,
            now,
        ],
    )?;
    match written {
        0 => refuse(other_call(step.seq, step.attempt)),
        _ => Ok(()),
    }
}

/// An outcome, ready to be written.
pub(super) struct Settling {
    step: Settled,
    usage: Option<Stored>,
    result: Stored,
}

impl Settling {
    pub(super) fn prepare(step: Settled) -> Result<Self> {
        if step.status == StepStatus::Intended {
            return Err(conflict("a step settles as settled, failed or unknown"));
        }
        let usage = step.usage.as_ref().map(codec::encode_json).transpose().map_err(corrupt("a step's usage"))?;
        let result = codec::encode_json(&step.result).map_err(corrupt("a step's result"))?;
        Ok(Self { step, usage, result })
    }

    /// Settles the step and counts what it cost. A step that has its outcome already was settled by somebody else
    /// who works under the same claim: the caller is told to stop.
    pub(super) fn write(&self, conn: &Connection, held: &Held, now: i64) -> Job<()> {
        const SETTLE: &str = "UPDATE steps SET status = ?4, settled_at = ?5, duration_ms = ?6, cost = ?7, usage = ?8, \
             result = ?9 WHERE execution = ?1 AND attempt = ?2 AND seq = ?3 AND status = 'intended' RETURNING kind";
        const EXISTS: &str = "SELECT 1 FROM steps WHERE execution = ?1 AND attempt = ?2 AND seq = ?3";
        let step = &self.step;
        held.in_attempt(step.attempt)?;
        let cost = step.cost.map(|cost| cost.0);
        let kind: Option<String> = conn
            .prepare_cached(SETTLE)?
            .query_row(
                params![
                    held.seq,
                    step.attempt,
                    step.seq,
                    step.status.as_str(),
                    now,
                    int(step.duration_ms),
                    cost,
                    self.usage,
                    self.result,
                ],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(kind) = kind {
            let called = kind == "llm" && step.status == StepStatus::Settled;
            return Ok(usage::count(conn, &held.agent, now, called, step)?);
        }
        if conn.prepare_cached(EXISTS)?.exists(params![held.seq, step.attempt, step.seq])? {
            return refuse(Error::Fenced);
        }
        refuse(no_step(step.seq, step.attempt))
    }
}

impl Held {
    /// A claim works on one attempt; a step of another is a fault of the caller.
    fn in_attempt(&self, attempt: u32) -> Job<()> {
        if attempt == self.attempt {
            return Ok(());
        }
        refuse(other_attempt(self.attempt, attempt))
    }
}

//! An execution's place in the tree and its pulse: what it does, since when, until when, and its last sign of life.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    ExecutionId, ReplyTo, TraceId,
    port::reply::Signs,
    status::AgentStatus,
    tree::{Table, Work},
};
use jiff::Timestamp;

use crate::watchdog::Pulse;

/// The place; it leaves the tree when dropped.
pub(crate) struct Progress {
    table: Table,
    path: String,
    execution: ExecutionId,
    trace_id: TraceId,
    pulse: Arc<Pulse>,
    voice: Option<Voice>,
    aloud: AtomicBool,
}

/// Where the person is who may hear what the model says.
pub(crate) struct Voice {
    pub(crate) signs: Arc<dyn Signs>,
    pub(crate) to: ReplyTo,
}

impl Progress {
    pub(crate) fn enter(
        table: Table,
        parent: &str,
        execution: ExecutionId,
        trace_id: TraceId,
        pulse: Arc<Pulse>,
    ) -> Self {
        let path = format!("{parent}/{execution}");
        table.enter(&path, "execution", AgentStatus::Running);
        Self { table, path, execution, trace_id, pulse, voice: None, aloud: AtomicBool::new(false) }
    }

    pub(crate) fn with_voice(mut self, voice: Option<Voice>) -> Self {
        self.voice = voice;
        self
    }

    /// Whether what the model says from now on is for the person.
    pub(crate) fn aloud(&self, aloud: bool) {
        self.aloud.store(aloud, Ordering::Relaxed);
    }

    /// The model says something.
    pub(crate) fn say(&self, text: &str) {
        if let Some(voice) = self.voice.as_ref().filter(|_| self.aloud.load(Ordering::Relaxed)) {
            voice.signs.say(&voice.to, self.execution, text);
        }
    }

    /// A call begins, and may be silent for so long.
    pub(crate) fn begin(&self, step: String, silence: Duration) {
        self.pulse.begin(&step, silence);
        let now = Timestamp::now();
        let work = Work {
            execution_id: self.execution,
            trace_id: self.trace_id,
            step,
            since: now,
            deadline: now.saturating_add(silence).unwrap_or(Timestamp::MAX),
            last_progress: now,
        };
        self.table.update(&self.path, |place| place.work = Some(work));
    }

    /// A sign of life: the call may be silent for as long again.
    pub(crate) fn beat(&self, silence: Duration) {
        self.pulse.beat(silence);
        let now = Timestamp::now();
        self.table.update(&self.path, |place| {
            if let Some(work) = &mut place.work {
                work.last_progress = now;
                work.deadline = now.saturating_add(silence).unwrap_or(Timestamp::MAX);
            }
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // One that was fenced has no place any more; the execution's next run may stand there.
        if !self.pulse.is_fenced() {
            self.table.leave(&self.path);
        }
    }
}

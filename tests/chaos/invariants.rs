//! The one place where it is judged what became of the work: the invariants that hold after any chaos.
//!
//! | | |
//! | --- | --- |
//! | I1 | what was accepted has reached a final state |
//! | I2 | each agent has each event once |
//! | I3 | no finished call was made again; of those in flight at a crash, at most the one; none that must not be repeated |
//! | I4 | no row is left in the outbox, and what was sent has arrived |
//! | I6 | no more attempts than allowed; what failed says why |
//! | I7 | nothing happened that nobody asked for |
//!
//! I5 (a conversation goes on by one turn each time) and I8 (recovery is bounded) are judged where they are seen, by
//! `matrix` and the waits of each run; I9 (queues are empty) by [`queues_are_empty`].

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    cast::LISTENER,
    evidence::{Ledger, Workflow, is_final, key},
};

/// How many attempts the clerk has: its file says nothing of them.
const ATTEMPTS: u64 = 3;

/// All that is known after a run.
pub(super) struct Evidence {
    /// The trace ids of what was accepted, each with the number of events that the listener must hear of it.
    pub(super) accepted: Vec<(String, usize)>,
    /// The workflows, in the same order.
    pub(super) workflows: Vec<Workflow>,
    /// Every execution that the store lists.
    pub(super) listed: Vec<Value>,
    /// What the model was asked.
    pub(super) model: Ledger,
    /// Which tools were called.
    pub(super) tools: Ledger,
}

/// What became of the work, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// What a door has taken in.
    pub accepted: u32,
    /// What ended well.
    pub succeeded: u32,
    /// What ended otherwise, its cause known.
    pub failed: u32,
    /// Of those, what waits for a person because nobody can know whether a call happened.
    pub unknown: u32,
    /// What never ended, or was never told. Must be 0.
    pub lost: u32,
    /// What happened twice. Must be 0.
    pub duplicated: u32,
    /// Finished calls that were made again. Must be 0.
    pub repaid: u32,
    /// Calls in flight at a crash that were made again.
    pub repeated: u32,
    /// Finished calls that a resume took from the journal.
    pub replayed: u64,
    /// Crashes that executions survived.
    pub crashes: u64,
}

/// Judges. Every breach is a line.
pub(super) fn judge(evidence: &Evidence) -> (Summary, Vec<String>) {
    let mut court = Court { summary: Summary::default(), breaches: Vec::new(), evidence };
    let mut keys = BTreeSet::new();
    for ((trace, heard), workflow) in evidence.accepted.iter().zip(&evidence.workflows) {
        court.summary.accepted += 1;
        court.workflow(trace, *heard, workflow, &mut keys);
    }
    court.nothing_else_happened(&keys);
    (court.summary, court.breaches)
}

struct Court<'a> {
    summary: Summary,
    breaches: Vec<String>,
    evidence: &'a Evidence,
}

impl Court<'_> {
    fn workflow(&mut self, trace: &str, heard: usize, workflow: &Workflow, keys: &mut BTreeSet<String>) {
        let work: Vec<&Value> = workflow.0["executions"].as_array().into_iter().flatten().collect();
        let work: Vec<&Value> = work.into_iter().filter(|execution| execution["agent"] != LISTENER).collect();
        let [execution] = work[..] else {
            let (count, what) = (work.len(), if work.is_empty() { "I1 lost" } else { "I2 twice" });
            *(if count == 0 { &mut self.summary.lost } else { &mut self.summary.duplicated }) += 1;
            return self.breach(format!("{what}: {trace} has {count} executions"));
        };
        let status = execution["status"].as_str().unwrap_or_default();
        match status {
            "succeeded" => self.summary.succeeded += 1,
            other if is_final(other) => {
                self.summary.failed += 1;
                self.failed_with_a_reason(trace, execution);
            }
            other => {
                self.summary.lost += 1;
                self.breach(format!("I1 lost: {trace} is still {other}"));
            }
        }
        if execution["attempt"].as_u64().is_none_or(|attempt| attempt > ATTEMPTS) {
            self.breach(format!("I6 attempts: {trace} is at {}, of at most {ATTEMPTS}", execution["attempt"]));
        }
        self.told(trace, heard, workflow);
        self.calls(trace, execution, keys);
    }

    /// I6.
    fn failed_with_a_reason(&mut self, trace: &str, execution: &Value) {
        let code = execution["error"]["code"].as_str().unwrap_or_default();
        match code {
            "outcome_unknown" => self.summary.unknown += 1,
            "" => self.breach(format!("I6 no reason: {trace} failed without one")),
            _ => {}
        }
    }

    /// I2 and I4 of what goes out.
    fn told(&mut self, trace: &str, heard: usize, workflow: &Workflow) {
        if workflow.0["pending"].as_array().is_none_or(|pending| !pending.is_empty()) {
            self.summary.lost += 1;
            self.breach(format!("I4 not sent: {trace} has {}", workflow.0["pending"]));
        }
        let events: Vec<&str> = workflow.of(LISTENER).filter_map(|execution| execution["event_id"].as_str()).collect();
        let distinct: BTreeSet<&&str> = events.iter().collect();
        if distinct.len() < heard {
            self.summary.lost += 1;
            self.breach(format!("I4 not heard: {trace} was to be heard {heard} times and was {}", distinct.len()));
        }
        if events.len() > heard {
            self.summary.duplicated += 1;
            self.breach(format!("I2 heard twice: {trace} was to be heard {heard} times and was {}", events.len()));
        }
    }

    /// I3.
    fn calls(&mut self, trace: &str, execution: &Value, keys: &mut BTreeSet<String>) {
        let crashes = execution["crashes"].as_u64().unwrap_or_default();
        self.summary.crashes += crashes;
        let mut again = 0;
        for step in execution["steps"].as_array().into_iter().flatten() {
            let key = key(execution, step);
            let calls =
                [&self.evidence.model, &self.evidence.tools].map(|ledger| ledger.get(&key).copied().unwrap_or(0));
            let calls = calls[0] + calls[1];
            self.summary.replayed += step["replays"].as_u64().unwrap_or_default();
            if calls > 1 {
                again += calls - 1;
                if step["effect"] == "at_most_once" {
                    self.summary.duplicated += 1;
                    self.breach(format!("I3 twice: {trace} called {} {calls} times", step["name"]));
                }
            }
            let outside = step["kind"] == "llm" || step["name"] == "charge";
            if calls == 0 && outside && step["status"] == "settled" {
                self.breach(format!("I3 never: {trace} has {} as settled and nobody was called", step["name"]));
            }
            keys.insert(key);
        }
        self.summary.repeated += again;
        // Each crash interrupts at most one call.
        if u64::from(again) > crashes {
            self.summary.repaid += again - crashes as u32;
            self.breach(format!("I3 paid again: {trace} made {again} calls again in {crashes} crashes"));
        }
    }

    /// I7.
    fn nothing_else_happened(&mut self, keys: &BTreeSet<String>) {
        let evidence = self.evidence;
        for key in evidence.model.keys().chain(evidence.tools.keys()).filter(|key| !keys.contains(*key)) {
            self.breach(format!("I7 unexpected: a call under {key}, which no journal has"));
        }
        let accepted: BTreeSet<&str> = evidence.accepted.iter().map(|(trace, _)| trace.as_str()).collect();
        for execution in &evidence.listed {
            let trace = execution["trace_id"].as_str().unwrap_or_default();
            if !accepted.contains(trace) {
                self.breach(format!("I7 unexpected: an execution of {} under {trace}", execution["agent"]));
            }
        }
    }

    fn breach(&mut self, line: String) {
        self.breaches.push(line);
    }
}

/// I9: no queue holds anything.
pub(super) fn queues_are_empty(queues: &Value) -> bool {
    let count = |queue: &Value, what: &str| queue[what].as_u64().unwrap_or_default();
    let items = queues["items"].as_array().into_iter().flatten();
    items.map(|queue| count(queue, "ready") + count(queue, "unacknowledged")).sum::<u64>() == 0
}

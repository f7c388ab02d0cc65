//! What became of the work: what the nodes tell, against what was counted outside of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::StreamExt;
use greenroom_contract::{MicroUsd, port::llm::Usage};
use greenroom_providers::pricing;
use serde::Serialize;
use serde_json::Value;

use super::{
    fleet::{Doors, LOOK},
    load::Given,
};

/// How long the last of the work may take once nobody is killed any more.
const DRAIN: Duration = Duration::from_secs(180);
/// How long the queues may take to be empty after that.
const QUEUES: Duration = Duration::from_secs(30);
/// How many attempts an agent has that says nothing of them, as those here do.
const ATTEMPTS: u64 = 3;
/// Workflows asked about at a time.
const AT_ONCE: usize = 8;

/// How often each call reached the world, by its key: execution, attempt, step.
pub(super) type Ledger = BTreeMap<String, u32>;

/// Whose price is put on what was saved.
pub(super) const PRICED_AS: &str = "gpt-4o-mini";

/// What became of the work.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) accepted: u32,
    pub(super) succeeded: u32,
    /// Ended without success, for a reason that is known.
    pub(super) failed: u32,
    /// Gave up after all attempts.
    pub(super) dead: u32,
    /// Of the failed: a call that must not happen twice was under way, and a person decides.
    pub(super) unknown: u32,
    /// Never ended, or never told. Must be 0.
    pub(super) lost: u32,
    /// Done, heard or called twice where it must not be. Must be 0.
    pub(super) duplicated: u32,
    /// Finished calls that were made again. Must be 0.
    pub(super) repaid: u32,
    /// Calls that were under way at a kill and were made again.
    pub(super) repeated: u32,
    /// Finished calls that a resume took from the journal.
    pub(super) replayed: u64,
    /// Of those, calls of the model.
    pub(super) replayed_models: u64,
    /// Their price, had they been made again. The stand-in here costs nothing: it is that of [`PRICED_AS`].
    pub(super) saved_usd: f64,
    /// Crashes that executions came through.
    pub(super) crashes: u64,
    /// What is wrong, a line each.
    pub(super) breaches: Vec<String>,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.breaches.is_empty() && self.lost + self.duplicated + self.repaid == 0
    }

    fn breach(&mut self, line: String) {
        self.breaches.push(line);
    }

    /// Takes one workflow into account.
    fn workflow(
        &mut self,
        given: &Given,
        listener: &str,
        trace: &Value,
        (model, tools): (&Ledger, &Ledger),
        known: &mut BTreeSet<String>,
    ) {
        self.accepted += 1;
        let name = &given.trace;
        let executions = trace["executions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let work: Vec<&Value> = executions.iter().filter(|execution| execution["agent"] == given.agent).collect();
        let [execution] = work[..] else {
            *(if work.is_empty() { &mut self.lost } else { &mut self.duplicated }) += 1;
            return self.breach(format!("{name}: {} executions", work.len()));
        };
        match execution["status"].as_str().unwrap_or_default() {
            "succeeded" => self.succeeded += 1,
            ended @ ("dead" | "failed" | "timed_out" | "cancelled") => {
                *(if ended == "dead" { &mut self.dead } else { &mut self.failed }) += 1;
                match execution["error"]["code"].as_str().unwrap_or_default() {
                    "outcome_unknown" => self.unknown += 1,
                    "" => self.breach(format!("{name}: {ended}, and nobody says why")),
                    _ => {}
                }
            }
            other => {
                self.lost += 1;
                self.breach(format!("{name}: still {other}"));
            }
        }
        if !trace["pending"].as_array().is_some_and(Vec::is_empty) {
            self.lost += 1;
            self.breach(format!("{name}: not sent: {}", trace["pending"]));
        }
        let heard = executions.iter().filter(|execution| execution["agent"] == listener).count();
        // One whose outcome is unknown has sent no event of its own; the end is told all the same.
        let must = if execution["status"] == "succeeded" { given.heard } else { 1 };
        if heard != must {
            *(if heard < must { &mut self.lost } else { &mut self.duplicated }) += 1;
            self.breach(format!("{name}: heard {heard} times, and not {must}"));
        }
        if execution["attempt"].as_u64().is_some_and(|attempt| attempt > ATTEMPTS) {
            self.breach(format!("{name}: attempt {}, of at most {ATTEMPTS}", execution["attempt"]));
        }
        self.calls(name, execution, model, tools, known);
    }

    /// What reached the world, and is in no journal.
    fn unasked(&mut self, known: &BTreeSet<String>, model: &Ledger, tools: &Ledger) {
        for key in model.keys().chain(tools.keys()).filter(|key| !known.contains(*key)) {
            self.breach(format!("a call under the key {key}, which no journal has"));
        }
    }

    fn calls(&mut self, name: &str, execution: &Value, model: &Ledger, tools: &Ledger, known: &mut BTreeSet<String>) {
        let crashes = execution["crashes"].as_u64().unwrap_or_default();
        self.crashes += crashes;
        let mut again = 0;
        for step in execution["steps"].as_array().into_iter().flatten() {
            let key = step["idempotency_key"].as_str().unwrap_or_default();
            let calls = [model, tools].iter().filter_map(|ledger| ledger.get(key)).sum::<u32>();
            known.insert(key.to_owned());
            if calls == 0 && step["kind"] == "llm" && step["status"] == "settled" {
                self.breach(format!("{name}: {} is settled, and nobody was asked", step["name"]));
            }
            let replays = step["replays"].as_u64().unwrap_or_default();
            self.replayed += replays;
            if step["kind"] == "llm" && replays > 0 {
                self.replayed_models += replays;
                self.saved_usd += price_of(&step["usage"]) * replays as f64;
            }
            again += calls.saturating_sub(1);
            if calls > 1 && step["effect"] == "at_most_once" {
                self.duplicated += 1;
                self.breach(format!("{name}: {} called {calls} times", step["name"]));
            }
        }
        self.repeated += again;
        // A crash interrupts one call of an execution at most; whatever is beyond that had been finished.
        let beyond = u64::from(again).saturating_sub(crashes) as u32;
        if beyond > 0 {
            self.repaid += beyond;
            self.breach(format!("{name}: {again} calls made again in {crashes} crashes"));
        }
    }
}

/// What a call that used so much costs, in dollars.
fn price_of(usage: &Value) -> f64 {
    let usage: Usage = serde_json::from_value(usage.clone()).unwrap_or_default();
    pricing::price("openai", PRICED_AS, &usage).map_or(0.0, MicroUsd::to_usd)
}

/// Waits until all work has ended, and judges it. What has not ended in time is lost.
pub(super) async fn judge(
    given: &[Given],
    listener: &str,
    doors: &Doors,
    ledgers: impl AsyncFnOnce() -> (Ledger, Ledger),
) -> Verdict {
    let deadline = Instant::now() + DRAIN;
    let traces: Vec<Value> = futures::stream::iter(given)
        .map(|given| ended(given, listener, doors, deadline))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let (model, tools) = ledgers().await;
    let (mut verdict, mut known) = (Verdict::default(), BTreeSet::new());
    for (given, trace) in given.iter().zip(&traces) {
        verdict.workflow(given, listener, trace, (&model, &tools), &mut known);
    }
    verdict.unasked(&known, &model, &tools);
    if let Err(left) = emptied(&given.iter().map(|given| given.agent.as_str()).collect(), listener, doors).await {
        verdict.breach(format!("not empty after {QUEUES:?}: {left}"));
    }
    verdict
}

/// Waits until nothing is left in the queues of our own agents.
async fn emptied(agents: &BTreeSet<&str>, listener: &str, doors: &Doors) -> Result<(), Value> {
    let deadline = Instant::now() + QUEUES;
    loop {
        let queues = doors.get("/v1/queues").await.unwrap_or_default();
        let ours = |queue: &&Value| {
            let agent = queue["name"].as_str().and_then(|name| name.strip_prefix("agent.input."));
            agent.is_some_and(|agent| agent == listener || agents.contains(agent))
        };
        let left = |queue: &&Value| queue["ready"] != 0 || queue["unacknowledged"] != 0;
        let items = queues["items"].as_array();
        match items.map(|items| items.iter().filter(ours).filter(left).cloned().collect::<Vec<_>>()) {
            Some(left) if left.is_empty() => return Ok(()),
            left if Instant::now() > deadline => return Err(left.map_or(Value::Null, Value::Array)),
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The workflow, once it is over or the time is.
async fn ended(given: &Given, listener: &str, doors: &Doors, deadline: Instant) -> Value {
    loop {
        let trace = doors.get(&format!("/v1/traces/{}", given.trace)).await.unwrap_or_default();
        let executions = trace["executions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |agent: &str| executions.iter().filter(|execution| execution["agent"] == *agent).count();
        let succeeded = executions.iter().any(|e| e["agent"] == given.agent && e["status"] == "succeeded");
        let over = of(&given.agent) > 0
            && executions.iter().all(|execution| !execution["finished_at"].is_null())
            && trace["pending"].as_array().is_some_and(Vec::is_empty)
            && of(listener) >= if succeeded { given.heard } else { 1 };
        if over || Instant::now() > deadline {
            return trace;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace(status: &str, crashes: u32, heard: usize) -> Value {
        let step =
            |seq: u32, effect: &str| json!({"idempotency_key": format!("x/1/{seq}"), "effect": effect, "replays": 0});
        let work = json!({
            "agent": "a", "status": status, "crashes": crashes, "attempt": 1,
            "steps": [step(0, "none"), step(1, "at_most_once")],
        });
        let mut executions = vec![work];
        executions.extend((0..heard).map(|_| json!({"agent": "l", "status": "succeeded"})));
        json!({"executions": executions, "pending": []})
    }

    fn verdict(trace: &Value, calls: [u32; 2]) -> Verdict {
        let given = Given { trace: "t".to_owned(), agent: "a".to_owned(), heard: 1 };
        let ledger = |seq: u32, calls: u32| Ledger::from([(format!("x/1/{seq}"), calls)]);
        let (mut verdict, mut known) = (Verdict::default(), BTreeSet::new());
        let (model, tools) = (ledger(0, calls[0]), ledger(1, calls[1]));
        verdict.workflow(&given, "l", trace, (&model, &tools), &mut known);
        verdict.unasked(&known, &model, &tools);
        verdict
    }

    #[test]
    fn each_kind_of_fault_is_found_and_named() {
        assert!(verdict(&trace("succeeded", 0, 1), [1, 1]).is_good());
        // In flight at the crash: made again, which is no fault.
        let again = verdict(&trace("succeeded", 1, 1), [2, 1]);
        assert!(again.is_good() && again.repeated == 1);
        let counts = |verdict: Verdict| (verdict.lost, verdict.duplicated, verdict.repaid, verdict.is_good());
        assert_eq!(counts(verdict(&trace("succeeded", 0, 1), [2, 1])), (0, 0, 1, false), "no crash excuses it");
        assert_eq!(counts(verdict(&trace("succeeded", 1, 1), [1, 2])), (0, 1, 0, false), "it must not happen twice");
        assert_eq!(counts(verdict(&trace("running", 0, 1), [1, 1])), (1, 0, 0, false));
        assert_eq!(counts(verdict(&trace("succeeded", 0, 0), [1, 1])), (1, 0, 0, false), "nobody heard of it");
        assert_eq!(counts(verdict(&trace("succeeded", 0, 2), [1, 1])), (0, 1, 0, false), "it was heard twice");
        let none = json!({"executions": [], "pending": []});
        let lost = verdict(&none, [0, 0]);
        assert!(lost.breaches.iter().any(|line| line.contains("which no journal has")), "{lost:?}");
        assert_eq!(counts(lost), (1, 0, 0, false));
        let mut failed = trace("failed", 0, 1);
        assert!(!verdict(&failed, [1, 1]).is_good(), "nobody says why");
        failed["executions"][0]["error"] = json!({"code": "refused"});
        assert!(verdict(&failed, [1, 1]).is_good());
        failed["executions"][0]["attempt"] = json!(4);
        assert!(!verdict(&failed, [1, 1]).is_good(), "more attempts than there are");
    }
}

//! `kill -9` at every boundary of a plan of six steps with two branches, a question and an approval: the same result, no step run
//! twice, no finished call made again.

use std::{fs, time::Duration};

use kit::{
    http,
    model::{Asked, Reply},
    node::Node,
    wait,
};
use serde_json::{Value, json};

use super::ground::{lead, others, play};
use crate::stand::{Stand, on_both};

/// A kill, a start and the rest of the run, on a very busy machine.
const SOON: Duration = wait::PATIENCE;
/// More places than a deed has in one run.
const MOST: u32 = 80;
/// Model calls of a run: six steps, of which one asks a person and goes on.
pub(super) const CALLS: usize = 7;

on_both! {
    a_plan_survives_kills_at_every_boundary_of_its_journal
    a_plan_survives_kills_on_the_way_of_its_events
}

async fn a_plan_survives_kills_at_every_boundary_of_its_journal(stand: Stand) {
    kill_everywhere(stand, &["intend", "settle", "commit", "answer"], 1).await;
}

async fn a_plan_survives_kills_on_the_way_of_its_events(stand: Stand) {
    kill_everywhere(stand, &["claim", "inbox", "acknowledge", "publish", "mark", "call", "door"], 3).await;
}

pub(super) fn plan() -> Value {
    json!({ "steps": [
        { "agent": "scout", "task": "Find facts", "inputs": ["$task"], "output": "$facts" },
        { "agent": "scout", "task": "Find left", "inputs": ["$facts", "$task"], "output": "$left", "depends_on": [] },
        { "agent": "writer", "task": "Find right", "inputs": ["$facts", "$task"], "output": "$right", "depends_on": [] },
        { "agent": "critic", "task": "Judge both", "inputs": ["$left", "$right", "$task"], "output": "$word" },
        { "agent": "writer", "task": "Write it", "inputs": ["$word", "$task"], "output": "$text" },
        { "agent": "critic", "task": "Read it", "inputs": ["$text", "$word"], "output": "$end" },
    ]})
}

pub(super) fn answer(asked: &Asked) -> Reply {
    match (asked.question().starts_with("Judge"), asked.turn()) {
        (true, 0) => Reply::tool("ask_human", json!({ "question": "Good?", "options": ["good", "bad"] })),
        (true, _) => Reply::text(format!("They say {}.", asked.tool_results().join(", "))),
        _ => play(asked),
    }
}

/// Kills the node at each place of each deed, one run for each; of the places every so manieth, and on servers, where each kill takes
/// longer and the journal is the same, fewer.
async fn kill_everywhere(stand: Stand, deeds: &[&str], every: usize) {
    let every = if stand.is_cluster() { every * 6 } else { every };
    others(&stand.home, &stand.model);
    stand.home.agent("lead", &lead(&stand.model, ""));
    stand.model.rule(answer);
    let mut story = Story { node: None, stand, number: 0, kills: 0 };
    for deed in deeds {
        for side in ["before", "after"] {
            for place in (1..=MOST).step_by(every) {
                // A place that the run did not come to is beyond the last.
                if !story.play(&format!("{side} {deed} {place}")).await {
                    break;
                }
            }
        }
    }
    assert!(story.kills > 10, "{} kills", story.kills);
    let node = story.node.take().unwrap_or_else(|| panic!("a node is up"));
    assert!(node.stop().await.success());
}

struct Story {
    stand: Stand,
    node: Option<Node>,
    number: usize,
    kills: usize,
}

impl Story {
    /// Has a plan carried out while the node dies at this place. Says whether it did.
    async fn play(&mut self, kill: &str) -> bool {
        self.number += 1;
        let name = format!("run-{:03}", self.number);
        if self.node.is_none() {
            self.arm("");
            self.node = Some(self.begin().await);
        }
        self.arm(kill);
        let kills = self.kills;
        let mut last = Value::Null;
        let run = wait::seen(&format!("{kill}: {name} to end"), SOON, async || {
            if self.node.as_mut().is_none_or(|node| node.process.ended().is_some()) {
                self.arm("");
                self.kills += 1;
                self.node = Some(self.begin().await);
            }
            // Whatever gets no answer is asked again: the node may have died over it.
            if let Some(node) = &self.node
                && let Some(run) = step(node, &name).await
            {
                let is_over = matches!(run["status"].as_str(), Some("succeeded" | "failed" | "cancelled"));
                if is_over {
                    return Ok(run);
                }
                last = run;
            }
            Err(last.clone())
        })
        .await;
        self.arm("");
        self.check(kill, &name, &run).await;
        self.kills > kills
    }

    async fn check(&mut self, kill: &str, name: &str, run: &Value) {
        assert_eq!(
            (&run["status"], &run["output"]),
            (&json!("succeeded"), &json!("[Read: They say good.]")),
            "{kill}: {run}"
        );
        let steps = run["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(steps.iter().all(|step| step["tries"] == 1), "{kill}: a step was run twice: {run}");
        let asked = self.stand.model.asked().iter().filter(|asked| about(asked, name)).count();
        // What was in flight when the node died is asked again: at most one call of each branch.
        assert!((CALLS..=CALLS + 2).contains(&asked), "{kill}: {asked} calls of a model that name {name}");
        // The node may die once more over what came after the end of the run.
        if let Some(node) = &mut self.node
            && node.process.ended().is_none()
        {
            for (agent, each) in [("scout", 2), ("writer", 2), ("critic", 2)] {
                let Ok(list) = node.try_get(&format!("/v1/executions?agent={agent}&limit=500")).await else { return };
                let number = list.json["items"].as_array().map(Vec::len).unwrap_or_default();
                assert!(number <= (each * self.number).min(500), "{kill}: {agent} was asked {number} times");
            }
        }
    }

    async fn begin(&self) -> Node {
        let file = self.stand.home.path().join("crash-at").display().to_string();
        self.stand.launch().env("GREENROOM_CRASH_FILE", file).begin().await
    }

    /// Says where the node dies next. Renamed over, so that a node never reads a half.
    fn arm(&self, line: &str) {
        let (draft, file) = (self.stand.home.path().join("crash-at.draft"), self.stand.home.path().join("crash-at"));
        let written = fs::write(&draft, line).and_then(|()| fs::rename(&draft, file));
        assert!(written.is_ok(), "the crash file cannot be written: {written:?}");
    }
}

/// Whether a call is of this run.
fn about(asked: &Asked, name: &str) -> bool {
    asked.body.to_string().contains(name)
}

/// Asks for the run, again if need be, and answers what it asks. `None` where the node does not answer.
pub(super) async fn step(node: &Node, name: &str) -> Option<Value> {
    let task = json!({ "agent": "lead", "task": name, "approve": true, "plan": plan() });
    let request = node.request("POST", "/v1/tasks").header("idempotency-key", name).json(&task);
    let taken = http::try_send(request).await.ok().filter(|taken| taken.status == 202)?;
    let id = taken.json["plan_run_id"].as_str()?.to_owned();
    let run = node.try_get(&format!("/v1/plans/{id}")).await.ok().filter(|run| run.status == 200)?.json;
    for question in run["questions"].as_array().into_iter().flatten() {
        let id = question["clarification_id"].as_str()?;
        let said = if question["purpose"] == "approval" { json!(true) } else { json!("good") };
        let path = format!("/v1/clarifications/{id}/answer");
        let request = node.request("POST", &path).json(&json!({ "answer": said, "by": "ann" }));
        http::try_send(request).await.ok();
    }
    Some(run)
}

//! Work that goes on while something breaks, on a cluster of real nodes.

use std::{sync::Mutex, time::Duration};

use greenroom_contract::TraceId;
use serde_json::json;

use super::{
    cast::{self, CLERK, LISTENER},
    cell::Subject,
    evidence::{self, Workflow},
    invariants::{Evidence, Summary, judge, queues_are_empty},
};
use crate::{
    http,
    model::{Gate, ModelServer},
    node::{Cluster, Node},
    wait,
};

/// How long the model thinks: long enough to be interrupted.
const THOUGHT: Duration = Duration::from_millis(30);
/// Between two pieces of work.
const PACE: Duration = Duration::from_millis(25);
/// How long nobody may take work in: the longest outage is a minute, and is then noticed to be over.
const REFUSED: Duration = Duration::from_secs(180);
/// How long the rest of the work may take once all is well again (I8).
const RECOVERY: Duration = wait::PATIENCE;

/// A clerk with a tool of some effect and a listener, on a cluster, and the work that they were given.
#[derive(Debug)]
pub struct Load {
    /// The cluster.
    pub cluster: Cluster,
    /// Whom the clerk asks.
    pub model: ModelServer,
    /// Holds back the answers to questions with the word `held`.
    pub gate: Gate,
    given: Mutex<Vec<String>>,
}

impl Load {
    /// Writes the agents' files into the cluster's home. No node is started yet.
    pub async fn on(cluster: Cluster, subject: Subject) -> Self {
        let (model, gate) = (ModelServer::start().await, Gate::closed());
        cast::enter(cluster.home(), &model, subject);
        let held = gate.clone();
        model.rule(move |asked| {
            let reply = cast::answer(asked, subject).after(THOUGHT);
            // Only the first question of a held piece, and only its first time: whoever takes over goes on.
            if asked.question().contains("held") && asked.turn() == 0 { reply.held_by(&held) } else { reply }
        });
        Self { cluster, model, gate, given: Mutex::default() }
    }

    /// Gives one piece of work to a node, and again under the same key until a node has taken it in. Returns its trace.
    pub async fn give(&self, doors: &[&Node], input: &str) -> String {
        let trace = TraceId::new().to_string();
        let turn = self.given.lock().map(|given| given.len()).unwrap_or_default();
        let tries = std::cell::Cell::new(turn);
        wait::seen(&format!("{input:?} to be taken in"), REFUSED, async || {
            let door = doors[tries.replace(tries.get() + 1) % doors.len()];
            let request = door.request("POST", &format!("/v1/agents/{CLERK}/invoke"));
            let request = request.header("x-trace-id", &trace).header("idempotency-key", &trace);
            match http::try_send(request.json(&json!({"input": input}))).await {
                Ok(answer) if matches!(answer.status, 200 | 202) => Ok(()),
                Ok(answer) => Err(answer.text),
                Err(error) => Err(format!("{error:?}")),
            }
        })
        .await;
        if let Ok(mut given) = self.given.lock() {
            given.push(trace.clone());
        }
        trace
    }

    /// Gives work without a pause until `breaking` has ended.
    pub async fn give_while<T>(&self, doors: &[&Node], breaking: impl Future<Output = T>) -> T {
        let mut breaking = std::pin::pin!(breaking);
        let mut number = 0;
        loop {
            let piece = format!("piece-{number}");
            let mut giving = std::pin::pin!(async {
                self.give(doors, &piece).await;
                tokio::time::sleep(PACE).await;
            });
            tokio::select! {
                ended = &mut breaking => {
                    // What was begun to be given is given to the end: it may have been taken in.
                    giving.await;
                    return ended;
                }
                () = &mut giving => number += 1,
            }
        }
    }

    /// The workflow of a piece.
    pub(super) async fn workflow(&self, node: &Node, trace: &str) -> Result<Workflow, String> {
        match node.try_get(&format!("/v1/traces/{trace}")).await {
            Ok(answer) if answer.status == 200 => Ok(Workflow(answer.json)),
            Ok(answer) => Err(answer.text),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    /// Waits until all work is over and judges it.
    ///
    /// # Panics
    /// When a promise is broken.
    pub async fn judge(&self, node: &Node) -> Summary {
        let given = self.given.lock().map(|given| given.clone()).unwrap_or_default();
        let mut workflows = Vec::new();
        for trace in &given {
            let over = wait::seen("a piece of work to be over", RECOVERY, async || {
                let workflow = self.workflow(node, trace).await?;
                if workflow.is_over(1) { Ok(workflow) } else { Err(workflow.0.to_string()) }
            });
            workflows.push(over.await);
        }
        wait::until("I9, the queues to be empty", RECOVERY, async || {
            node.try_get("/v1/queues").await.is_ok_and(|answer| answer.status == 200 && queues_are_empty(&answer.json))
        })
        .await;
        let evidence = Evidence {
            accepted: given.iter().map(|trace| (trace.clone(), 1)).collect(),
            workflows,
            listed: [node.executions(CLERK).await, node.executions(LISTENER).await].concat(),
            model: evidence::asked(&self.model),
            tools: evidence::called(self.cluster.home()),
        };
        let (summary, breaches) = judge(&evidence);
        assert!(
            breaches.is_empty(),
            "{summary:?}\n{}\n{}",
            breaches.join("\n"),
            self.story_of(&given, breaches.first().map_or("", String::as_str))
        );
        summary
    }

    /// What the nodes logged of the workflow that a breach is about.
    fn story_of(&self, given: &[String], breach: &str) -> String {
        let Some(trace) = given.iter().find(|trace| breach.contains(trace.as_str())) else { return String::new() };
        let lines = self.cluster.home().logs_of_trace(trace);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

//! What the peers outside counted, and what a node tells of a workflow.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cast::LISTENER;
use crate::{model::ModelServer, node::Home};

/// How often each step's call reached the world, by its key: execution, attempt and position, `…/1/2`.
pub(super) type Ledger = BTreeMap<String, u32>;

/// What the model was asked.
pub(super) fn asked(model: &ModelServer) -> Ledger {
    let keys = model.asked().into_iter().map(|asked| asked.header("idempotency-key").unwrap_or("none").to_owned());
    count(keys)
}

/// Which tools were called.
pub(super) fn called(home: &Home) -> Ledger {
    count(home.tool_ledger().into_iter().map(|(_, key)| key))
}

fn count(keys: impl Iterator<Item = String>) -> Ledger {
    let mut ledger = Ledger::new();
    for key in keys {
        *ledger.entry(key).or_default() += 1;
    }
    ledger
}

/// A workflow as `GET /v1/traces/{id}` tells it.
#[derive(Debug, Clone)]
pub(super) struct Workflow(pub(super) Value);

impl Workflow {
    /// The executions of an agent.
    pub(super) fn of<'a>(&'a self, agent: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let agent = agent.to_owned();
        self.executions().filter(move |execution| execution["agent"] == agent.as_str())
    }

    /// The one execution of the agent that works.
    pub(super) fn work(&self) -> Option<&Value> {
        self.executions().find(|execution| execution["agent"] != LISTENER)
    }

    fn executions(&self) -> impl Iterator<Item = &Value> {
        self.0["executions"].as_array().into_iter().flatten()
    }

    /// Whether all has ended and been told: nothing pends, and the listener has had `heard` events.
    pub(super) fn is_over(&self, heard: usize) -> bool {
        let ended = |execution: &Value| is_final(execution["status"].as_str().unwrap_or_default());
        self.work().is_some()
            && self.executions().all(ended)
            && self.0["pending"].as_array().is_some_and(Vec::is_empty)
            && self.of(LISTENER).count() >= heard
    }
}

/// Whether nothing follows this state of an execution.
pub(super) fn is_final(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "timed_out" | "cancelled" | "dead")
}

/// A step's place in the ledgers.
pub(super) fn key(execution: &Value, step: &Value) -> String {
    let id = execution["execution_id"].as_str().unwrap_or_default();
    format!("{id}/{}/{}", step["attempt"], step["seq"])
}

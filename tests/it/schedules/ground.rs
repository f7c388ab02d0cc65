//! What these stories do besides on their ground: a cluster of three nodes with a duty each.

use std::sync::Arc;

use greenroom_contract::{
    clock::SystemClock,
    port::state::{ScheduleRow, SetSchedule, State},
};
use greenroom_sqlite::Database;
use greenroom_state::{PostgresState, SqliteState, postgres, sqlite};
use jiff::Timestamp;
use serde_json::Value;

use crate::ground::{Duties, Ground, Running};

/// Who answers, who keeps the times, who works.
pub(super) const DUTIES: Duties =
    &[("door", "gateway,orchestrator"), ("timer", "scheduler"), ("pool", "autonomous,continuous,collaborative")];

impl Ground {
    /// The store itself, beside or without the nodes.
    async fn store(&self) -> Arc<dyn State> {
        match self {
            Self::Embedded(home) => {
                let database = Database::open(&home.data(), sqlite::MIGRATIONS);
                Arc::new(SqliteState::new(database.unwrap(), Arc::new(SystemClock)))
            }
            Self::Cluster(cluster, _) => {
                let url = cluster.variable("GREENROOM_DATABASE_URL");
                Arc::new(PostgresState::connect(&url, postgres::Options::default()).await.unwrap())
            }
        }
    }

    /// Has schedules due since a moment that is over, as if nobody had been there: instead of waiting for hours.
    pub(super) async fn due_since(&self, due_at: Timestamp) {
        let store = self.store().await;
        for row in store.schedules().await.unwrap().rows {
            let ScheduleRow { agent, digest, anchor, next_at, .. } = row;
            let (seen, next_at) = (Some((digest.clone(), next_at)), Some(due_at));
            assert!(store.set_schedule(SetSchedule { agent, seen, digest, anchor, next_at }).await.unwrap());
        }
    }
}

impl Running<'_> {
    /// A schedule as it is shown.
    pub(super) async fn schedule(&self, agent: &str) -> Value {
        self.door().get(&format!("/v1/schedules/{agent}")).await.expect(200).json
    }

    /// Its firings, oldest first.
    pub(super) async fn firings(&self, agent: &str) -> Vec<Value> {
        let mut firings = self.schedule(agent).await["firings"].as_array().cloned().unwrap_or_default();
        firings.reverse();
        firings
    }
}

//! Where a story plays: one embedded node, or a cluster of three nodes with a duty each.

use std::{path::PathBuf, sync::Arc};

use greenroom_contract::{
    clock::SystemClock,
    port::state::{ScheduleRow, SetSchedule, State},
};
use greenroom_sqlite::Database;
use greenroom_state::{PostgresState, SqliteState, postgres, sqlite};
use jiff::Timestamp;
use kit::node::{Cluster, Finished, Home, Node};
use serde_json::Value;

/// The nodes of a cluster: who answers, who keeps the times, who works.
const DUTIES: [(&str, &str); 3] =
    [("door", "gateway,orchestrator"), ("timer", "scheduler"), ("pool", "autonomous,continuous,collaborative")];

pub(super) enum Ground {
    Embedded(Home),
    Cluster(Cluster),
}

/// What runs on it.
pub(super) enum Running<'a> {
    Embedded(&'a Home, Box<Node>),
    Cluster(Vec<kit::node::Member<'a>>),
}

impl Ground {
    pub(super) fn embedded() -> Self {
        Self::Embedded(Home::new())
    }

    pub(super) async fn cluster() -> Self {
        Self::Cluster(Cluster::new().await)
    }

    pub(super) fn home(&self) -> &Home {
        match self {
            Self::Embedded(home) => home,
            Self::Cluster(cluster) => cluster.home(),
        }
    }

    /// Starts it, the first time or again.
    pub(super) async fn start(&self) -> Running<'_> {
        match self {
            Self::Embedded(home) => Running::Embedded(home, Box::new(home.launch().start().await)),
            Self::Cluster(cluster) => {
                let mut members = Vec::new();
                for (name, roles) in DUTIES {
                    members.push(cluster.start(name, roles).await);
                }
                Running::Cluster(members)
            }
        }
    }

    /// The store itself, beside or without the nodes.
    async fn store(&self) -> Arc<dyn State> {
        match self {
            Self::Embedded(home) => {
                let database = Database::open(&home.data(), sqlite::MIGRATIONS);
                Arc::new(SqliteState::new(database.unwrap(), Arc::new(SystemClock)))
            }
            Self::Cluster(cluster) => {
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
    /// The node that is asked.
    pub(super) fn door(&self) -> &Node {
        match self {
            Self::Embedded(_, node) => node,
            Self::Cluster(members) => members[0].node(),
        }
    }

    /// All of it stops, in order.
    pub(super) async fn stop(self) {
        match self {
            Self::Embedded(_, node) => assert!(node.stop().await.success()),
            Self::Cluster(members) => {
                for mut member in members {
                    assert!(member.stop().await.success());
                }
            }
        }
    }

    /// A person at a second terminal.
    pub(super) async fn type_in(&self, home: &Home, arguments: &[&str]) -> Finished {
        home.launch().env("GREENROOM_HTTP_ADDR", &self.door().address).data(nowhere(home)).run(arguments).await
    }

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

/// A data folder without a node, so that the command line goes where it is told.
fn nowhere(home: &Home) -> PathBuf {
    home.path().join("terminal")
}

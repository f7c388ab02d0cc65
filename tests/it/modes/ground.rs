//! Where a story plays: one embedded node, or a cluster with a door and two pools.

use kit::node::{Cluster, Finished, Home, Member, Node};
use serde_json::Value;

const DUTIES: [(&str, &str); 3] =
    [("door", "gateway,orchestrator"), ("left", "autonomous,continuous"), ("right", "autonomous,continuous")];

pub(super) enum Ground {
    Embedded(Home),
    Cluster(Cluster),
}

/// What runs on it.
pub(super) enum Running<'a> {
    Embedded(&'a Home, Box<Node>),
    Cluster(&'a Cluster, Vec<Member<'a>>),
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

    /// How many nodes work.
    pub(super) fn workers(&self) -> usize {
        match self {
            Self::Embedded(_) => 1,
            Self::Cluster(_) => 2,
        }
    }

    pub(super) async fn start(&self) -> Running<'_> {
        match self {
            Self::Embedded(home) => Running::Embedded(home, Box::new(home.launch().start().await)),
            Self::Cluster(cluster) => {
                let mut members = Vec::new();
                for (name, roles) in DUTIES {
                    members.push(cluster.start(name, roles).await);
                }
                Running::Cluster(cluster, members)
            }
        }
    }
}

impl Running<'_> {
    /// The node that is asked.
    pub(super) fn door(&self) -> &Node {
        match self {
            Self::Embedded(_, node) => node,
            Self::Cluster(_, members) => members[0].node(),
        }
    }

    /// Kills the node that works on an execution, as `kill -9` does. In a cluster another is there; a single node is started
    /// again.
    pub(super) async fn kill_who_has(&mut self, execution: &str) {
        let shown = self.door().execution(execution).await;
        match self {
            Self::Embedded(home, node) => {
                node.process.kill9().await;
                **node = home.launch().start().await;
            }
            Self::Cluster(_, members) => {
                let owner = shown["node"].as_str().unwrap_or_default().to_owned();
                let owner = members.iter_mut().find(|member| member.name == owner);
                owner.unwrap_or_else(|| panic!("nobody has {shown}")).kill9().await;
            }
        }
    }

    /// All of it stops, in order.
    pub(super) async fn stop(self) {
        match self {
            Self::Embedded(_, node) => assert!(node.stop().await.success()),
            Self::Cluster(_, members) => {
                for mut member in members {
                    // One that was killed is down already.
                    if member.is_up() {
                        assert!(member.stop().await.success());
                    }
                }
            }
        }
    }

    /// A person at a second terminal.
    pub(super) async fn type_in(&self, arguments: &[&str]) -> Finished {
        let home = match self {
            Self::Embedded(home, _) => home,
            Self::Cluster(cluster, _) => cluster.home(),
        };
        // A data folder without a node, so that the command line goes where it is told.
        let launch = home.launch().env("GREENROOM_HTTP_ADDR", &self.door().address);
        launch.data(home.path().join("terminal")).run(arguments).await
    }
}

/// The texts of a request's conversation, the prompt left out.
pub(super) fn conversation(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let said = messages.filter(|message| message["role"] != "system");
    said.map(|message| message["content"].as_str().map_or_else(|| message["content"].to_string(), str::to_owned))
        .collect()
}

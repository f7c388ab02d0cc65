//! What these stories do besides on their ground: a cluster with a door and two pools.

use serde_json::Value;

use crate::ground::{Duties, Ground, Running};

/// The nodes of the cluster.
pub(super) const DUTIES: Duties =
    &[("door", "gateway,orchestrator"), ("left", "autonomous,continuous"), ("right", "autonomous,continuous")];

impl Ground {
    /// How many nodes work.
    pub(super) fn workers(&self) -> usize {
        match self {
            Self::Embedded(_) => 1,
            Self::Cluster(..) => 2,
        }
    }
}

impl Running<'_> {
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
}

/// The texts of a request's conversation, the prompt left out.
pub(super) fn conversation(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().into_iter().flatten();
    let said = messages.filter(|message| message["role"] != "system");
    said.map(|message| message["content"].as_str().map_or_else(|| message["content"].to_string(), str::to_owned))
        .collect()
}

//! The node as one of a cluster: verbs that reach an agent wherever it runs, pauses that all nodes keep, lost work.

use std::{collections::BTreeSet, sync::Arc};

use greenroom_config::AgentSpec;
use greenroom_contract::{
    AgentId,
    execution::Failure,
    port::{
        operator::{AgentView, Error, NodeView, Scope},
        state,
    },
    status::AgentStatus,
    task,
    tree::{NodeTree, Tree},
};
use tokio::time::timeout;

use super::registry::{Entry, Orchestrator};
use crate::{
    agent::view,
    cluster::{Cluster, NodeVerb, node_view},
    execution::persist,
};

/// How long the store may take to keep a pause or to name the leases.
const STORE: std::time::Duration = std::time::Duration::from_secs(3);

impl Orchestrator {
    /// Makes the node one of a cluster. Once, before the doors open.
    pub fn join(&self, cluster: Arc<Cluster>) {
        self.inner.cluster.set(cluster).ok();
    }

    pub(super) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.inner.cluster.get()
    }

    /// The agents that run here.
    pub(crate) fn agents_here(&self) -> Vec<AgentView> {
        self.table().actual.values().filter(|entry| !entry.leaving).map(|entry| entry.facts.view()).collect()
    }

    /// Every agent wherever it runs, once for each node that runs it; one that runs nowhere is shown as unavailable.
    pub(super) fn agents_everywhere(&self) -> Vec<AgentView> {
        let mut agents = self.agents_here();
        let Some(cluster) = self.cluster() else { return agents };
        agents.extend(cluster.agents());
        let known: BTreeSet<AgentId> = agents.iter().map(|agent| agent.name.clone()).collect();
        let table = self.table();
        let nowhere = table.desired.iter().filter(|(name, _)| !known.contains(*name));
        agents.extend(nowhere.map(|(_, definition)| {
            let mut view = view(self.inner.ports.node.clone(), definition);
            let role = greenroom_config::role::role_of(definition.spec.execution_mode);
            view.status = AgentStatus::Unavailable;
            view.reason = Some(Failure::new("no_node", format!("no node with the role {role} is heard")));
            view
        }));
        // This node's own come first of each name, so that who looks for one finds the nearest.
        agents.sort_by(|a, b| a.name.cmp(&b.name));
        agents
    }

    pub(super) fn tree_of(&self, scope: Scope) -> Tree {
        let ports = &self.inner.ports;
        let (version, root) = ports.table.snapshot_at();
        let own =
            NodeTree { node: ports.node.clone(), roles: self.inner.roles.words(), reachable: true, version, root };
        match self.cluster().filter(|_| scope == Scope::Cluster) {
            None => Tree { complete: true, nodes: vec![own] },
            Some(cluster) => {
                let (complete, mut nodes) = cluster.trees();
                nodes.push(own);
                nodes.sort_by(|a, b| a.node.cmp(&b.node));
                Tree { complete, nodes }
            }
        }
    }

    /// Every node: what was heard of it, and its lease.
    pub(super) async fn nodes_everywhere(&self) -> Result<Vec<NodeView>, Error> {
        let here = self.agents_here();
        let mut own = match self.cluster() {
            Some(cluster) => node_view(cluster.face()),
            None => NodeView { node: self.inner.ports.node.clone(), ..NodeView::unknown() },
        };
        own.roles = self.inner.roles.words();
        own.reachable = true;
        own.agents = here.len() as u32;
        own.running = here.iter().map(|agent| agent.running).sum();
        let mut nodes = vec![own];
        nodes.extend(self.cluster().map(|cluster| cluster.nodes()).unwrap_or_default());
        let leases = timeout(STORE, self.inner.ports.state.nodes()).await;
        let leases = leases.map_err(|_| Error::Unavailable { why: "the store does not name the leases".into() })??;
        for lease in leases {
            let known = nodes.iter_mut().find(|node| node.node == lease.node);
            match known {
                Some(node) => (node.lease_until, node.lease_alive) = (Some(lease.until), Some(lease.alive)),
                // Known by its lease alone: dead, or cut off from the bus.
                None if lease.alive => nodes.push(NodeView {
                    node: lease.node,
                    lease_until: Some(lease.until),
                    lease_alive: Some(true),
                    ..NodeView::unknown()
                }),
                None => {}
            }
        }
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        Ok(nodes)
    }

    /// Carries a verb out here and wherever else the agent runs.
    pub(super) async fn everywhere(&self, agent: &AgentId, verb: NodeVerb) -> Result<(), Error> {
        let known = self.entry(agent).is_some() || self.table().desired.contains_key(agent);
        if !known {
            return Err(Error::NotFound { what: format!("agent {agent}") });
        }
        let pause = match verb {
            NodeVerb::Pause(_) => Some(true),
            NodeVerb::Resume(_) | NodeVerb::Restart(_) => Some(false),
            NodeVerb::Cancel(..) | NodeVerb::Agenda => None,
        };
        if let Some(paused) = pause {
            self.keep(agent, paused).await?;
        }
        self.carry_out(&verb);
        let Some(cluster) = self.cluster() else { return Ok(()) };
        let runs = cluster.who_runs(agent);
        if runs.is_empty() && self.entry(agent).is_none() && matches!(verb, NodeVerb::Restart(_)) {
            return Err(Error::Unavailable { why: format!("no node that is heard runs {agent}") });
        }
        cluster.command(verb, runs).await.map_err(|silent| {
            let names: Vec<&str> = silent.iter().map(|node| node.as_str()).collect();
            Error::Unanswered { why: format!("no answer from {}; it may yet be done there", names.join(", ")) }
        })
    }

    /// Keeps a pause, or its end, in the store. The row comes before the deed: a node that starts or does not hear keeps to
    /// it within a second. A node that is alone does the deed all the same when its store is away, and keeps it later.
    async fn keep(&self, agent: &AgentId, paused: bool) -> Result<(), Error> {
        if !paused && self.cluster().is_none() && !self.table().paused.contains(agent) {
            return Ok(());
        }
        let silent = |_| Err(state::Error::Unavailable { reason: "it did not keep the pause in time".to_owned() });
        match timeout(STORE, self.inner.ports.state.set_paused(agent, paused)).await.unwrap_or_else(silent) {
            Err(state::Error::Unavailable { .. }) if self.cluster().is_none() => {
                let (this, agent) = (self.clone(), agent.clone());
                task::spawn("keep-pause", async move {
                    let state = &this.inner.ports.state;
                    // What is wanted by then counts, not what was wanted at first.
                    let kept = persist("pause", || {
                        let wanted = this.table().paused.contains(&agent);
                        state.set_paused(&agent, wanted)
                    });
                    if let Err(error) = kept.await {
                        tracing::warn!(agent = %agent, %error, "A pause is not kept over a restart.");
                    }
                });
                Ok(())
            }
            kept => Ok(kept?),
        }
    }

    /// Carries a verb out on the agents that run here.
    pub(crate) fn carry_out(&self, verb: &NodeVerb) {
        match verb {
            NodeVerb::Restart(agent) => {
                self.note_paused(agent, false);
                self.with(agent, |entry| entry.handle.restart());
            }
            NodeVerb::Pause(agent) => {
                self.note_paused(agent, true);
                self.with(agent, |entry| entry.handle.pause());
            }
            NodeVerb::Resume(agent) => {
                self.note_paused(agent, false);
                self.with(agent, |entry| entry.handle.resume());
            }
            NodeVerb::Cancel(agent, execution) => self.with(agent, |entry| entry.handle.cancel(*execution)),
            NodeVerb::Agenda => self.change_agenda(),
        }
    }

    fn with(&self, agent: &AgentId, tell: impl FnOnce(&Entry)) {
        if let Some(entry) = self.entry(agent) {
            tell(&entry);
        }
    }

    fn note_paused(&self, agent: &AgentId, paused: bool) {
        let mut table = self.table();
        table.pause_turn += 1;
        if paused {
            table.paused.insert(agent.clone())
        } else {
            table.paused.remove(agent)
        };
    }

    /// Grows with every pause and resumption: what was read before it is old.
    pub(crate) fn pause_turn(&self) -> u64 {
        self.table().pause_turn
    }

    /// Holds back who is to be held back by the store, and lets the others go. Void if something changed since `turn`.
    pub fn keep_paused(&self, paused: Vec<AgentId>, turn: Option<u64>) {
        let (hold, free) = {
            let mut table = self.table();
            if turn.is_some_and(|turn| turn != table.pause_turn) {
                return;
            }
            let now: BTreeSet<AgentId> = paused.into_iter().collect();
            let hold: Vec<AgentId> = now.difference(&table.paused).cloned().collect();
            let free: Vec<AgentId> = table.paused.difference(&now).cloned().collect();
            table.paused = now;
            (hold, free)
        };
        hold.iter().for_each(|agent| self.with(agent, |entry| entry.handle.pause()));
        free.iter().for_each(|agent| self.with(agent, |entry| entry.handle.resume()));
    }

    /// Every agent of the folder, wherever it runs.
    pub(crate) fn wanted(&self) -> Vec<Arc<AgentSpec>> {
        self.table().desired.values().map(|definition| Arc::clone(&definition.spec)).collect()
    }

    /// Resolves when the folder was taken up anew.
    pub(crate) async fn folder_changed(&self) {
        self.inner.wanted.notified().await;
    }

    /// Something has come into the inbox for an agent. `here` says that the queue that it came by leads to this node.
    pub(crate) fn arrived(&self, agent: &AgentId, here: bool) {
        self.with(agent, |entry| {
            if here {
                entry.handle.here().served(&*self.inner.ports.bus);
            }
            entry.handle.rouse();
        });
    }

    /// The queue that an agent shares may lead to another node now.
    pub(crate) fn queue_left(&self, agent: &AgentId) {
        self.with(agent, |entry| entry.handle.here().ended());
    }

    /// Has an agent look into the store; one that sleeps only if it is to be roused for it.
    pub(crate) fn poke(&self, agent: &AgentId, rouse: bool) {
        self.with(agent, |entry| match rouse {
            true => entry.handle.rouse(),
            false => entry.handle.look(),
        });
    }
}

//! Who shares queues, and with whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use greenroom_config::{AgentSpec, Role, load::Definition, role::role_of};
use greenroom_contract::{
    AgentId, TopicPattern,
    port::bus::{QueueSpec, Sharing},
};

use crate::agent::queue_of;

/// How many queues the agents of one role share. It is part of what a queue is for: another number would lead an agent's
/// events to another queue.
pub(super) const SHARDS: u64 = 16;

/// Who shares queues, as one state of the folder wants it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Grows with each state of the folder.
    pub(super) generation: u64,
    /// Whether the agents share queues; else each has its own.
    pub(super) shared: bool,
    agents: BTreeMap<AgentId, Known>,
    /// The queues that the agents share, or would share.
    shards: BTreeMap<String, Shard>,
}

#[derive(Debug)]
struct Known {
    spec: Arc<AgentSpec>,
    version: Arc<str>,
}

#[derive(Debug)]
struct Shard {
    role: Role,
    agents: BTreeSet<AgentId>,
}

/// An agent that a message is for, and the version on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taker {
    pub(super) agent: AgentId,
    pub(super) version: String,
}

/// A queue with the role whose nodes run its agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) role: Role,
    /// What leads to it.
    pub(super) topics: BTreeSet<TopicPattern>,
    /// Whether its order counts.
    pub(super) ordered: bool,
    /// The queues by which comes what came by this one, where it has no place any more and they are not shared.
    pub(super) instead: Vec<QueueSpec>,
}

impl Plan {
    /// The plan for these agents, of which up to `own` have a queue each.
    pub(super) fn new(generation: u64, own: usize, desired: &BTreeMap<AgentId, Definition>) -> Self {
        let mut plan = Self { generation, shared: desired.len() > own, ..Self::default() };
        for (agent, definition) in desired {
            let spec = Arc::clone(&definition.spec);
            let role = role_of(spec.execution_mode);
            let shard =
                plan.shards.entry(shard(role, agent)).or_insert_with(|| Shard { role, agents: BTreeSet::new() });
            shard.agents.insert(agent.clone());
            let version = Arc::from(definition.version.as_str());
            plan.agents.insert(agent.clone(), Known { spec, version });
        }
        plan
    }

    /// Whether the agent has no queue of its own.
    pub(crate) fn shares(&self, agent: &AgentId) -> bool {
        self.shared && self.agents.contains_key(agent)
    }

    /// The queues that are to be there because agents share them.
    pub(crate) fn shared_queues(&self) -> Vec<QueueSpec> {
        let shards = self.shards().filter(|_| self.shared);
        shards
            .map(|queue| {
                let sharing = if queue.ordered { Sharing::SingleActive } else { Sharing::Competing };
                QueueSpec { name: queue.name, bindings: queue.topics.into_iter().collect(), sharing }
            })
            .collect()
    }

    /// The queues that agents share or would share, with what leads to them.
    pub(super) fn shards(&self) -> impl Iterator<Item = Queue> {
        self.shards.iter().map(|(name, shard)| {
            let mut topics = BTreeSet::new();
            for spec in shard.agents.iter().filter_map(|agent| Some(&self.agents.get(agent)?.spec)) {
                topics.extend(own_topic(&spec.name.input_topic()));
                topics.extend(spec.subscriptions.iter().cloned());
            }
            let ordered = shard.role == Role::Continuous;
            Queue { name: name.clone(), role: shard.role, topics, ordered, instead: Vec::new() }
        })
    }

    /// The queues that have no place in this plan, and may be there still: each agent's own where they share, those that
    /// they would share where they do not, also of agents that are gone.
    pub(super) fn leftovers(&self) -> Vec<Queue> {
        if self.shared {
            let own = self.agents.values().map(|known| {
                let (queue, role) = (queue_of(&known.spec), role_of(known.spec.execution_mode));
                let topics = queue.bindings.into_iter().chain(own_topic(&queue.name)).collect();
                Queue { name: queue.name, role, topics, ordered: known.spec.ordered(), instead: Vec::new() }
            });
            return own.collect();
        }
        let own = |shard: &str| {
            self.agents_of(shard).filter_map(|agent| Some(queue_of(&self.agents.get(agent)?.spec))).collect()
        };
        let known = self.shards().map(|queue| (queue.name.clone(), Queue { instead: own(&queue.name), ..queue }));
        let mut known: BTreeMap<String, Queue> = known.collect();
        let every = [Role::Autonomous, Role::Collaborative, Role::Continuous];
        let every = every.into_iter().flat_map(|role| (0..SHARDS).map(move |n| (role, name_of(role, n))));
        let queue = |(role, name): (Role, String)| {
            let ordered = role == Role::Continuous;
            known.remove(&name).unwrap_or_else(|| Queue {
                name,
                role,
                topics: BTreeSet::new(),
                ordered,
                instead: Vec::new(),
            })
        };
        every.map(queue).collect()
    }

    /// The agents that share a queue.
    pub(super) fn agents_of(&self, queue: &str) -> impl Iterator<Item = &AgentId> {
        self.shards.get(queue).into_iter().flat_map(|shard| &shard.agents)
    }

    /// For whom a message is that came in this queue under this topic. A shared queue is bound to what any of its agents
    /// listens to, and the broker does not say because of whom a message came.
    pub(super) fn takers(&self, queue: &str, topic: &str) -> Vec<Taker> {
        let taker = |known: &Known| Taker { agent: known.spec.name.clone(), version: known.version.to_string() };
        let Some(shard) = self.shards.get(queue) else {
            // An agent's own queue, or that of an agent that is gone.
            return addressee(queue).and_then(|agent| self.agents.get(&agent)).map(taker).into_iter().collect();
        };
        let addressee = addressee(topic);
        let of_shard = shard.agents.iter().filter(|agent| addressee.as_ref() != Some(agent));
        let listens = |known: &&Known| known.spec.subscriptions.iter().any(|pattern| pattern.matches(topic));
        let listeners = of_shard.filter_map(|agent| self.agents.get(agent)).filter(listens);
        let named = addressee.as_ref().and_then(|agent| self.agents.get(agent));
        named.into_iter().chain(listeners).map(taker).collect()
    }
}

/// The queue that an agent shares, if agents share.
pub(crate) fn shard_of(spec: &AgentSpec) -> String {
    shard(role_of(spec.execution_mode), &spec.name)
}

/// The agent whose input topic, or own queue, this is.
pub(super) fn addressee(topic: &str) -> Option<AgentId> {
    topic.strip_prefix("agent.input.")?.parse().ok()
}

/// The queue that an agent shares. The same on every node, for ever: FNV-1a, folded.
fn shard(role: Role, agent: &AgentId) -> String {
    let hash = agent
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    name_of(role, (hash ^ (hash >> 32)) % SHARDS)
}

fn name_of(role: Role, number: u64) -> String {
    format!("agent.shard.{role}.{number}")
}

fn own_topic(queue: &str) -> Option<TopicPattern> {
    // Every queue's name is a topic.
    queue.parse().ok()
}

//! The agent's instances: which are up, who has how much to do.

use std::collections::{BTreeMap, HashMap};

use greenroom_contract::{
    ExecutionId,
    execution::{Claimed, Fence},
};
use ractor::{ActorId, ActorRef};
use tokio::sync::OwnedSemaphorePermit;

use super::instance;

/// An execution at work, or waiting for an instance, with the credit that it holds.
pub(super) struct Held {
    pub(super) fence: Fence,
    pub(super) instance: Option<String>,
    /// Returned to the feeder when this is dropped.
    pub(super) _credit: OwnedSemaphorePermit,
}

struct Member {
    actor: ActorRef<instance::Message>,
    generation: u32,
    taking: bool,
}

/// The instances and what they hold.
#[derive(Default)]
pub(super) struct Staff {
    members: BTreeMap<String, Member>,
    ids: HashMap<ActorId, String>,
    held: HashMap<ExecutionId, Held>,
    waiting: Vec<Claimed>,
}

impl Staff {
    pub(super) fn joined(&mut self, name: &str, generation: u32, actor: ActorRef<instance::Message>) {
        self.ids.insert(actor.get_id(), name.to_owned());
        self.members.insert(name.to_owned(), Member { actor, generation, taking: true });
    }

    /// An instance ended: its name and generation, and what it held.
    pub(super) fn left(&mut self, id: ActorId) -> Option<(String, u32, Vec<Held>)> {
        let name = self.ids.remove(&id)?;
        let generation = self.members.remove(&name).map_or(0, |member| member.generation);
        let lost: Vec<ExecutionId> =
            self.held.iter().filter(|(_, held)| held.instance.as_ref() == Some(&name)).map(|(id, _)| *id).collect();
        let held = lost.iter().filter_map(|id| self.held.remove(id)).collect();
        Some((name, generation, held))
    }

    /// Takes an execution on; the caller hands out what [`Staff::assign`] then says.
    pub(super) fn take_on(&mut self, claimed: Claimed, credit: OwnedSemaphorePermit) {
        let held = Held { fence: claimed.fence, instance: None, _credit: credit };
        self.held.insert(claimed.fence.execution, held);
        self.waiting.retain(|waiting| waiting.fence.execution != claimed.fence.execution);
        self.waiting.push(claimed);
    }

    /// The next waiting execution and the instance with the least to do, if there are both.
    pub(super) fn assign(&mut self) -> Option<(Claimed, ActorRef<instance::Message>)> {
        let name = self
            .members
            .iter()
            .filter(|(_, member)| member.taking)
            .min_by_key(|(name, _)| self.load(name))
            .map(|(name, _)| name.clone())?;
        if self.waiting.is_empty() {
            return None;
        }
        let claimed = self.waiting.remove(0);
        if let Some(held) = self.held.get_mut(&claimed.fence.execution) {
            held.instance = Some(name.clone());
        }
        self.members.get(&name).map(|member| (claimed, member.actor.clone()))
    }

    /// An execution ended: its credit goes back. A crash is given back before its end is heard here, so it may have been
    /// claimed anew: the new claim is none of this one's business.
    pub(super) fn done(&mut self, fence: Fence) {
        if self.held.get(&fence.execution).is_some_and(|held| held.fence == fence) {
            self.held.remove(&fence.execution);
        }
    }

    /// Takes from an instance what it may still be given; it ends when it has nothing left to do.
    pub(super) fn dismiss(&mut self, name: &str) -> Option<ActorId> {
        let member = self.members.get_mut(name)?;
        member.taking = false;
        // One that ended just now needs no telling.
        drop(member.actor.send_message(instance::Message::Stop));
        Some(member.actor.get_id())
    }

    /// Ends an instance at once; what it runs is aborted.
    pub(super) fn kill(&mut self, instance: ActorId) {
        if let Some(member) = self.ids.get(&instance).and_then(|name| self.members.get(name)) {
            member.actor.kill();
        }
    }

    /// Ends all instances at once, and says what they held.
    pub(super) fn abandon(&mut self) -> Vec<Held> {
        for member in self.members.values() {
            member.actor.kill();
        }
        self.waiting.clear();
        self.held.drain().map(|(_, held)| held).collect()
    }

    /// Takes back what no instance has begun.
    pub(super) fn unstarted(&mut self) -> Vec<Held> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().filter_map(|claimed| self.held.remove(&claimed.fence.execution)).collect()
    }

    /// Tells the instance that runs it to abort an execution.
    pub(super) fn cancel(&mut self, execution: ExecutionId) {
        self.waiting.retain(|claimed| claimed.fence.execution != execution);
        let Some(held) = self.held.get(&execution) else { return };
        match held.instance.as_ref().and_then(|name| self.members.get(name)) {
            Some(member) => drop(member.actor.send_message(instance::Message::Cancel(execution))),
            None => drop(self.held.remove(&execution)),
        }
    }

    /// The instances that are up, each with how much it has to do.
    pub(super) fn loads(&self) -> impl Iterator<Item = (&str, usize)> {
        self.members.keys().map(|name| (name.as_str(), self.load(name)))
    }

    fn load(&self, name: &str) -> usize {
        self.held.values().filter(|held| held.instance.as_deref() == Some(name)).count()
    }

    pub(super) fn any_up(&self) -> bool {
        !self.members.is_empty()
    }

    pub(super) fn running(&self) -> usize {
        self.held.len() - self.waiting.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }
}

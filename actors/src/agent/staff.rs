//! The agent's instances: which are up, who has how much to do.

use std::collections::HashMap;

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
    name: String,
    actor: ActorRef<instance::Message>,
    generation: u32,
    taking: bool,
}

/// The instances and what they hold.
#[derive(Default)]
pub(super) struct Staff {
    /// In the order of their names. Few: an agent most often has one.
    members: Vec<Member>,
    held: HashMap<ExecutionId, Held>,
    waiting: Vec<Claimed>,
    /// Grows with each change of the above.
    changes: u64,
}

impl Staff {
    pub(super) fn joined(&mut self, name: &str, generation: u32, actor: ActorRef<instance::Message>) {
        self.changes += 1;
        self.members.retain(|member| member.name != name);
        let at = self.members.partition_point(|member| member.name.as_str() < name);
        self.members.reserve_exact(1);
        self.members.insert(at, Member { name: name.to_owned(), actor, generation, taking: true });
    }

    /// An instance ended: its name and generation, and what it held.
    pub(super) fn left(&mut self, id: ActorId) -> Option<(String, u32, Vec<Held>)> {
        self.changes += 1;
        let at = self.members.iter().position(|member| member.actor.get_id() == id)?;
        let Member { name, generation, .. } = self.members.remove(at);
        let lost: Vec<ExecutionId> =
            self.held.iter().filter(|(_, held)| held.instance.as_ref() == Some(&name)).map(|(id, _)| *id).collect();
        let held = lost.iter().filter_map(|id| self.held.remove(id)).collect();
        Some((name, generation, held))
    }

    /// Takes an execution on; the caller hands out what [`Staff::assign`] then says.
    pub(super) fn take_on(&mut self, claimed: Claimed, credit: OwnedSemaphorePermit) {
        self.changes += 1;
        let held = Held { fence: claimed.fence, instance: None, _credit: credit };
        self.held.insert(claimed.fence.execution, held);
        self.waiting.retain(|waiting| waiting.fence.execution != claimed.fence.execution);
        self.waiting.push(claimed);
    }

    /// The next waiting execution and the instance with the least to do, if there are both.
    pub(super) fn assign(&mut self) -> Option<(Claimed, ActorRef<instance::Message>)> {
        self.changes += 1;
        let name = self
            .members
            .iter()
            .filter(|member| member.taking)
            .min_by_key(|member| self.load(&member.name))
            .map(|member| member.name.clone())?;
        if self.waiting.is_empty() {
            return None;
        }
        let claimed = self.waiting.remove(0);
        if let Some(held) = self.held.get_mut(&claimed.fence.execution) {
            held.instance = Some(name.clone());
        }
        self.member(&name).map(|member| (claimed, member.actor.clone()))
    }

    /// An execution ended: its credit goes back. A crash is given back before its end is heard here, so it may have been
    /// claimed anew: the new claim is none of this one's business.
    pub(super) fn done(&mut self, fence: Fence) {
        if self.held.get(&fence.execution).is_some_and(|held| held.fence == fence) {
            self.changes += 1;
            self.held.remove(&fence.execution);
        }
    }

    /// Takes from an instance what it may still be given; it ends when it has nothing left to do.
    pub(super) fn dismiss(&mut self, name: &str) -> Option<ActorId> {
        let member = self.members.iter_mut().find(|member| member.name == name)?;
        member.taking = false;
        // One that ended just now needs no telling.
        drop(member.actor.send_message(instance::Message::Stop));
        Some(member.actor.get_id())
    }

    /// Ends an instance at once; what it runs is aborted.
    pub(super) fn kill(&mut self, instance: ActorId) {
        if let Some(member) = self.members.iter().find(|member| member.actor.get_id() == instance) {
            member.actor.kill();
        }
    }

    /// Has what is at work stop between two calls.
    pub(super) fn adjourn(&self) {
        for member in &self.members {
            // One that ended just now has nothing at work.
            drop(member.actor.send_message(instance::Message::Adjourn));
        }
    }

    /// Ends all instances at once, and says what they held.
    pub(super) fn abandon(&mut self) -> Vec<Held> {
        self.changes += 1;
        for member in &self.members {
            member.actor.kill();
        }
        self.waiting.clear();
        self.held.drain().map(|(_, held)| held).collect()
    }

    /// Takes back what no instance has begun.
    pub(super) fn unstarted(&mut self) -> Vec<Held> {
        self.changes += 1;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().filter_map(|claimed| self.held.remove(&claimed.fence.execution)).collect()
    }

    /// Tells the instance that runs it to abort an execution.
    pub(super) fn cancel(&mut self, execution: ExecutionId) {
        self.waiting.retain(|claimed| claimed.fence.execution != execution);
        let Some(held) = self.held.get(&execution) else { return };
        self.changes += 1;
        match held.instance.as_deref().and_then(|name| self.member(name)) {
            Some(member) => drop(member.actor.send_message(instance::Message::Cancel(execution))),
            None => drop(self.held.remove(&execution)),
        }
    }

    /// The instances that are up, each with how much it has to do.
    pub(super) fn loads(&self) -> impl Iterator<Item = (&str, usize)> {
        self.members.iter().map(|member| (member.name.as_str(), self.load(&member.name)))
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    fn load(&self, name: &str) -> usize {
        self.held.values().filter(|held| held.instance.as_deref() == Some(name)).count()
    }

    /// Another number than before if anything is other than before.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether more waits than there are instances with nothing to do.
    pub(super) fn is_short(&self) -> bool {
        let free = self.members.iter().filter(|member| member.taking && self.load(&member.name) == 0).count();
        self.waiting.len() > free
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

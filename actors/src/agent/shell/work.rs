//! Work: executions come from the feeder, go to instances, and come back ended.

use std::sync::Arc;

use greenroom_contract::{ExecutionId, TraceId, execution::Fence, port::state::Release, task};
use ractor::ActorRef;

use super::{Shell, versions::instances};
use crate::{
    agent::{Parcel, instance, message::Message, release::give_back, staff::Held},
    execution::Ending,
    supervisor::{Event, Policy},
};

impl Shell {
    pub(in crate::agent) async fn claimed(&mut self, myself: &ActorRef<Message>, parcel: Parcel) {
        let Some((claimed, credit)) = parcel.open() else { return };
        self.staff.take_on(*claimed, credit);
        if self.storm.as_ref().is_none_or(|hold| !hold.probing) {
            self.look_at_the_weather(myself);
        }
        let held = self.storm.as_ref().is_some_and(|hold| !hold.probing);
        if self.stopping || self.parked.is_some() || held {
            let unstarted = self.staff.unstarted();
            self.give_back(unstarted);
        }
        self.call_in(myself).await;
    }

    /// Starts instances until whatever waits finds one that is free, as far as the definition goes.
    pub(super) async fn call_in(&mut self, myself: &ActorRef<Message>) {
        let Some(kit) = self.kit.clone().filter(|_| self.staff.is_short()) else { return };
        for n in 0..instances(&kit.spec) {
            let child = n.to_string();
            if !self.staff.is_short() {
                return;
            }
            if self.core.generation(&child).is_none() {
                let policy = Policy::of(&kit.spec.supervision);
                self.decide(myself, Event::Add { child, policy }).await;
            }
        }
    }

    pub(super) fn hand_out(&mut self) {
        if self.staff.waiting() == 0 {
            return;
        }
        let Some(kit) = self.kit.clone() else { return };
        while let Some((claimed, instance)) = self.staff.assign() {
            self.tenure.begun(claimed.fence.execution);
            // An instance that ended just now gives back what it holds when its end is heard.
            drop(instance.send_message(instance::Message::Work(Box::new(claimed), Arc::clone(&kit))));
        }
    }

    pub(in crate::agent) fn ended(
        &mut self,
        myself: &ActorRef<Message>,
        fence: Fence,
        trace_id: TraceId,
        ending: &Ending,
    ) {
        self.staff.done(fence);
        if let Ending::Failed(failure) | Ending::Crashed(failure) = ending {
            self.ports.table.failed(&self.path, failure.clone(), Some(trace_id));
            self.poke.notify_one();
        }
        self.look_at_the_weather(myself);
    }

    pub(in crate::agent) fn cancel(&mut self, execution: ExecutionId) {
        self.staff.cancel(execution);
        self.tenure.begun(execution);
    }

    /// Has the feeder look into the store.
    pub(in crate::agent) fn look(&self) {
        self.poke.notify_one();
    }

    pub(super) fn give_back(&self, held: Vec<Held>) {
        let (ports, poke) = (Arc::clone(&self.ports), Arc::clone(&self.poke));
        if held.is_empty() {
            return;
        }
        held.iter().for_each(|one| self.tenure.begun(one.fence.execution));
        task::spawn("give-back", async move {
            for one in held {
                give_back(Arc::clone(&ports), one.fence, Release::Unfinished).await;
            }
            poke.notify_one();
        });
    }
}

//! Schedules are the durable store's alone: what is decided about them is decided in a transaction.

use greenroom_contract::{
    AgentId, BoxFuture, Event,
    port::state::{Fire, Firing, NewFiring, Result, Scheduled, Schedules, SetSchedule, WaitingFiring},
};
use jiff::Timestamp;

use super::tiered::Tiered;

impl Schedules for Tiered {
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>> {
        self.durable.schedules()
    }

    fn set_schedule(&self, set: SetSchedule) -> BoxFuture<'_, Result<bool>> {
        self.durable.set_schedule(set)
    }

    fn fire(&self, fire: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>> {
        self.durable.fire(fire)
    }

    fn trigger_schedule(&self, agent: &AgentId, firing: NewFiring) -> BoxFuture<'_, Result<Firing>> {
        self.durable.trigger_schedule(agent, firing)
    }

    fn next_waiting(&self, agent: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>> {
        self.durable.next_waiting(agent)
    }

    fn release_firing(&self, agent: &AgentId, due_at: Timestamp, event: Event) -> BoxFuture<'_, Result<bool>> {
        self.durable.release_firing(agent, due_at, event)
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        self.durable.pause_schedule(agent, paused)
    }

    fn firings(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Firing>>> {
        self.durable.firings(agent, limit)
    }
}

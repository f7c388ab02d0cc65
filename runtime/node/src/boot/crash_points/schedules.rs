//! Before and after what is decided about schedules.

use greenroom_contract::{
    AgentId, BoxFuture, Event,
    port::state::{Fire, Firing, NewFiring, Result, Scheduled, Schedules, SetSchedule, WaitingFiring},
};
use jiff::Timestamp;

use super::{state::Dangerous, trigger::Deed};

impl Schedules for Dangerous {
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>> {
        self.inner.schedules()
    }

    fn set_schedule(&self, set: SetSchedule) -> BoxFuture<'_, Result<bool>> {
        self.inner.set_schedule(set)
    }

    fn fire(&self, fire: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>> {
        let about = fire.agent.to_string();
        Box::pin(self.between(Deed::Fire, about, self.inner.fire(fire)))
    }

    fn trigger_schedule(&self, agent: &AgentId, firing: NewFiring) -> BoxFuture<'_, Result<Firing>> {
        self.inner.trigger_schedule(agent, firing)
    }

    fn next_waiting(&self, agent: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>> {
        self.inner.next_waiting(agent)
    }

    fn release_firing(&self, agent: &AgentId, due_at: Timestamp, event: Event) -> BoxFuture<'_, Result<bool>> {
        self.inner.release_firing(agent, due_at, event)
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>> {
        self.inner.pause_schedule(agent, paused)
    }

    fn firings(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Firing>>> {
        self.inner.firings(agent, limit)
    }
}

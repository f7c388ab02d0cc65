//! No test asks the store in memory for schedules here: the simulations do.

use greenroom_contract::{
    AgentId, BoxFuture, Event,
    port::state::{Fire, Firing, NewFiring, Result, Scheduled, Schedules, SetSchedule, WaitingFiring},
};
use jiff::Timestamp;

use super::store::{Store, unasked};

impl Schedules for Store {
    fn schedules(&self) -> BoxFuture<'_, Result<Scheduled>> {
        unasked()
    }

    fn set_schedule(&self, _: SetSchedule) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }

    fn fire(&self, _: Fire) -> BoxFuture<'_, Result<Option<Vec<Firing>>>> {
        unasked()
    }

    fn trigger_schedule(&self, _: &AgentId, _: NewFiring) -> BoxFuture<'_, Result<Firing>> {
        unasked()
    }

    fn next_waiting(&self, _: &AgentId) -> BoxFuture<'_, Result<Option<WaitingFiring>>> {
        unasked()
    }

    fn release_firing(&self, _: &AgentId, _: Timestamp, _: Event) -> BoxFuture<'_, Result<bool>> {
        unasked()
    }

    fn pause_schedule(&self, _: &AgentId, _: bool) -> BoxFuture<'_, Result<()>> {
        unasked()
    }

    fn firings(&self, _: &AgentId, _: u32) -> BoxFuture<'_, Result<Vec<Firing>>> {
        unasked()
    }
}

//! Money set aside.

use greenroom_contract::{
    MicroUsd, NodeId,
    clock::to_millis,
    port::state::{Reservation, Reserved, Result},
    status::StepStatus,
};
use jiff::Timestamp;

use super::tables::Tables;

impl Tables {
    pub(super) fn reserve(&mut self, wanted: Reservation) -> Result<Reserved> {
        let number = self.hold(wanted.fence)?;
        let agent = self.rows[number].agent.clone();
        let spent = self.spent(&agent, to_millis(wanted.since)).cost;
        let counts = |held: &&Reservation| {
            let Some(row) = self.row(held.fence.execution).filter(|row| row.agent == agent) else { return false };
            let step = row.steps.iter().find(|step| (step.attempt, step.seq) == (held.attempt, held.seq));
            held.fence.execution != wanted.fence.execution
                && row.finished_at.is_none()
                && step.is_none_or(|step| step.status == StepStatus::Intended)
        };
        let reserved = self.reservations.values().filter(counts).map(|held| held.amount).sum();
        let decision = Reserved::decide(spent, reserved, wanted.amount, wanted.most);
        if decision == Reserved::Granted {
            self.reservations.insert(wanted.fence.execution, wanted);
        }
        Ok(decision)
    }

    /// No step has a time of its end here: it is taken for the time of its begin.
    pub(super) fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> MicroUsd {
        let rows = self.rows.iter().filter(|row| row.node.as_ref() == Some(node));
        let steps = rows.flat_map(|row| &row.steps).filter(|step| step.intended_at >= since);
        steps.filter_map(|step| step.cost).sum()
    }
}

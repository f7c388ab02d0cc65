//! The work: events for all agents in turn, given to whichever node is up, and given again under the same key until one has
//! taken it in.

use std::time::Duration;

use greenroom_contract::TraceId;
use tokio::sync::watch;

use super::{
    cast::{Cast, EVENT, ROLES},
    dice::Dice,
    fleet::Doors,
};

/// The wait before the same is given again.
const AGAIN: Duration = Duration::from_millis(20);

/// What was accepted.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The workflow.
    pub(super) trace: String,
    /// The agent.
    pub(super) agent: String,
    /// How many events the listener must hear of it.
    pub(super) heard: usize,
}

/// Gives `events` pieces of work, no more at any time than `allowed` says. Returns them in their order; each was accepted.
pub(super) async fn give(
    cast: Cast,
    events: usize,
    seed: u64,
    doors: Doors,
    mut allowed: watch::Receiver<usize>,
) -> Vec<Given> {
    let mut dice = Dice::new(seed);
    let mut given = Vec::with_capacity(events);
    for number in 0..events {
        if allowed.wait_for(|allowed| *allowed > number).await.is_err() {
            // Whoever allows is gone: the run is over.
            break;
        }
        let role = ROLES[number % ROLES.len()];
        let work = Given {
            trace: TraceId::new().to_string(),
            agent: cast.agent(role),
            heard: if role == EVENT { 2 } else { 1 },
        };
        while !doors.give(dice.below(1 << 16), &work.agent, &work.trace, &format!("piece {number}")).await {
            tokio::time::sleep(AGAIN).await;
        }
        given.push(work);
    }
    given
}

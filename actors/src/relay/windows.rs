//! Windows on their way: several at a time, each of which is sent and then settled.

use std::{collections::HashSet, future::Future, pin::pin, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    BoxFuture,
    execution::Failure,
    port::state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing},
};
use tokio::time::Instant;

use super::{
    outlet::Outlet,
    run::{failed, send},
};
use crate::execution::persist;

/// Windows on their way at a time: the next is taken while the one before is being confirmed.
const AT_ONCE: usize = 8;
/// How long commands that were published wait to be marked so. Nearly all are in an inbox by then and need no mark; it is
/// far less than the lease that keeps other relays from them.
const MARK_AFTER: Duration = Duration::from_millis(500);
/// So many are marked sooner.
const MOST_UNMARKED: usize = 500;

/// Rows of a later window may overtake only those that were not taken at their first try.
pub(super) struct Windows<'a> {
    outlet: &'a Outlet,
    flying: FuturesUnordered<BoxFuture<'a, Result<Landed, Failure>>>,
    /// Rows of which the store does not know yet what became of them. After a long absence it hands them out again.
    in_hand: HashSet<OutboxId>,
    unmarked: Vec<OutboxId>,
    mark_at: Option<Instant>,
}

/// What a window leaves behind.
struct Landed {
    /// Replies were in it: the next one to an address may be due now.
    replied: bool,
    /// Commands that were published.
    commands: Vec<OutboxId>,
    /// Rows that are settled.
    settled: Vec<OutboxId>,
}

impl<'a> Windows<'a> {
    pub(super) fn new(outlet: &'a Outlet) -> Self {
        let (flying, in_hand) = (FuturesUnordered::new(), HashSet::new());
        Self { outlet, flying, in_hand, unmarked: Vec::new(), mark_at: None }
    }

    /// Sends a window off, without what is in hand already; waits first if too many are on their way.
    pub(super) async fn send(&mut self, mut rows: Vec<OutboxRow>) -> Result<(), Failure> {
        rows.retain(|row| self.in_hand.insert(row.id));
        if rows.is_empty() {
            return Ok(());
        }
        while self.flying.len() >= AT_ONCE {
            self.next().await?;
        }
        self.flying.push(Box::pin(window(self.outlet, rows)));
        Ok(())
    }

    /// Awaits `work` while the windows go on.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                landed = self.next() => {
                    landed?;
                }
            }
        }
    }

    /// Resolves when the next window has landed, or marks are due, with whether the store should be looked at; never while
    /// there is nothing of both. Cancelling it loses nothing.
    pub(super) async fn next(&mut self) -> Result<bool, Failure> {
        let marks = async {
            match self.mark_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let landed = tokio::select! {
            Some(landed) = self.flying.next(), if !self.flying.is_empty() => landed?,
            () = marks => {
                self.mark();
                return Ok(false);
            }
        };
        for id in &landed.settled {
            self.in_hand.remove(id);
        }
        self.unmarked.extend(landed.commands);
        if self.unmarked.len() >= MOST_UNMARKED {
            self.mark();
        } else if !self.unmarked.is_empty() {
            self.mark_at.get_or_insert_with(|| Instant::now() + MARK_AFTER);
        }
        Ok(landed.replied)
    }

    /// Awaits every window, and marks what they published.
    pub(super) async fn land(&mut self) -> Result<(), Failure> {
        while !self.flying.is_empty() || !self.unmarked.is_empty() {
            if self.flying.is_empty() {
                self.mark();
            }
            self.next().await?;
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.mark_at = None;
        let (outlet, settled) = (self.outlet, std::mem::take(&mut self.unmarked));
        if settled.is_empty() {
            return;
        }
        self.flying.push(Box::pin(async move {
            settle(outlet, settled.iter().map(|id| (*id, OutboxOutcome::Published)).collect()).await?;
            Ok(Landed { replied: false, commands: Vec::new(), settled })
        }));
    }
}

async fn window(outlet: &Outlet, rows: Vec<OutboxRow>) -> Result<Landed, Failure> {
    let is_command = |row: &OutboxRow| matches!(row.outgoing, Outgoing::Event { mandatory: true, .. });
    let replied = rows.iter().any(|row| matches!(row.outgoing, Outgoing::Reply { .. }));
    let mut commands: Vec<OutboxId> = rows.iter().filter(|row| is_command(row)).map(|row| row.id).collect();
    let outcomes = send(outlet, rows).await;
    let published = |id: &OutboxId| {
        outcomes.iter().any(|(settled, outcome)| settled == id && matches!(outcome, OutboxOutcome::Published))
    };
    commands.retain(published);
    let rest: Vec<_> = outcomes.into_iter().filter(|(id, _)| !commands.contains(id)).collect();
    let settled = rest.iter().map(|(id, _)| *id).collect();
    if !rest.is_empty() {
        settle(outlet, rest).await?;
    }
    Ok(Landed { replied, commands, settled })
}

async fn settle(outlet: &Outlet, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> Result<(), Failure> {
    persist("outbox", || outlet.ports.state.settle_outbox(outcomes.clone())).await.map_err(failed)
}

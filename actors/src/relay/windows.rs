//! Windows on their way: several at a time, each of which is sent. What was published is marked so in batches.

use std::{collections::HashSet, future::Future, pin::pin, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use greenroom_contract::{
    BoxFuture,
    execution::Failure,
    port::state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing},
};
use tokio::time::Instant;

use super::{
    hand::Hand,
    run::{WINDOW, failed, publish},
};
use crate::{execution::persist, ports::Ports};

/// Windows on their way at a time: the next is taken while the one before is being confirmed.
const AT_ONCE: usize = 8;
/// How long commands that were published wait to be marked so. Nearly all are in an inbox by then and need no mark; it is
/// far less than the lease that keeps other relays from them.
const MARK_COMMANDS: Duration = Duration::from_millis(500);
/// How long other events wait: long enough to gather, and what a crash repeats is little.
const MARK_FACTS: Duration = Duration::from_millis(100);
/// So many are marked sooner.
const MOST_UNMARKED: usize = 500;

/// Rows of a later window may overtake only those that were not taken at their first try.
pub(super) struct Windows<'a> {
    ports: &'a Ports,
    flying: FuturesUnordered<BoxFuture<'a, Result<Landed, Failure>>>,
    hand: Hand,
    commands: Unmarked,
    facts: Unmarked,
}

/// What a window leaves behind.
#[derive(Default)]
struct Landed {
    /// What came after something in it may be due now: it was behind an event that had failed.
    let_by: bool,
    /// Commands that were published: a queue had to take them.
    commands: Vec<OutboxId>,
    /// Other events that were published.
    facts: Vec<OutboxId>,
    /// Rows that are settled.
    settled: Vec<OutboxId>,
}

/// Rows that were published and are not marked so.
struct Unmarked {
    ids: Vec<OutboxId>,
    after: Duration,
    at: Option<Instant>,
}

impl Unmarked {
    fn new(after: Duration) -> Self {
        Self { ids: Vec::new(), after, at: None }
    }

    fn add(&mut self, ids: Vec<OutboxId>) {
        self.ids.extend(ids);
        if !self.ids.is_empty() {
            let at = self.at.get_or_insert_with(|| Instant::now() + self.after);
            if self.ids.len() >= MOST_UNMARKED {
                *at = Instant::now();
            }
        }
    }

    /// What is due to be marked.
    fn take_due(&mut self, now: Instant) -> Vec<OutboxId> {
        match self.at {
            Some(at) if at <= now => self.take(),
            _ => Vec::new(),
        }
    }

    fn take(&mut self) -> Vec<OutboxId> {
        self.at = None;
        std::mem::take(&mut self.ids)
    }
}

impl<'a> Windows<'a> {
    pub(super) fn new(ports: &'a Ports) -> Self {
        let (commands, facts) = (Unmarked::new(MARK_COMMANDS), Unmarked::new(MARK_FACTS));
        Self { ports, flying: FuturesUnordered::new(), hand: Hand::default(), commands, facts }
    }

    /// Sends off what was claimed together with what was handed over, oldest first. Returns whether anything that was
    /// claimed was new.
    pub(super) async fn send_with(&mut self, claimed: Vec<OutboxRow>, handed: Vec<OutboxRow>) -> Result<bool, Failure> {
        let mut rows = self.hand.take_up(claimed);
        let is_new = !rows.is_empty();
        rows.extend(self.hand.take_up(handed));
        rows.sort_unstable_by_key(|row| row.id);
        self.launch(rows).await?;
        Ok(is_new)
    }

    /// Sends off rows, oldest first, without what is in hand already. Returns whether there was anything new.
    pub(super) async fn send(&mut self, rows: Vec<OutboxRow>) -> Result<bool, Failure> {
        self.send_with(rows, Vec::new()).await
    }

    /// Waits where too many windows are on their way.
    async fn launch(&mut self, rows: Vec<OutboxRow>) -> Result<(), Failure> {
        for rows in rows.chunks(WINDOW as usize) {
            while self.flying.len() >= AT_ONCE {
                self.next().await?;
            }
            self.flying.push(Box::pin(window(self.ports, rows.to_vec())));
        }
        Ok(())
    }

    /// Rows that are settled may be handed out anew from here on. To be called directly before the store is asked for rows.
    pub(super) fn forget_settled(&mut self) {
        self.hand.forget_settled();
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
        let due = self.commands.at.into_iter().chain(self.facts.at).min();
        let marks = async {
            match due {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let landed = tokio::select! {
            Some(landed) = self.flying.next(), if !self.flying.is_empty() => landed?,
            () = marks => {
                let now = Instant::now();
                let mut ids = self.commands.take_due(now);
                ids.extend(self.facts.take_due(now));
                self.mark(ids);
                return Ok(false);
            }
        };
        self.hand.settle(landed.settled);
        self.commands.add(landed.commands);
        self.facts.add(landed.facts);
        Ok(landed.let_by)
    }

    /// Awaits every window, and marks what they published.
    pub(super) async fn land(&mut self) -> Result<(), Failure> {
        loop {
            if self.flying.is_empty() {
                let mut ids = self.commands.take();
                ids.extend(self.facts.take());
                self.mark(ids);
            }
            if self.flying.is_empty() {
                return Ok(());
            }
            self.next().await?;
        }
    }

    fn mark(&mut self, settled: Vec<OutboxId>) {
        let ports = self.ports;
        if settled.is_empty() {
            return;
        }
        self.flying.push(Box::pin(async move {
            settle(ports, settled.iter().map(|id| (*id, OutboxOutcome::Published)).collect()).await?;
            Ok(Landed { settled, ..Landed::default() })
        }));
    }
}

async fn window(ports: &Ports, rows: Vec<OutboxRow>) -> Result<Landed, Failure> {
    let is_command = |row: &OutboxRow| matches!(row.outgoing, Outgoing::Event { mandatory: true, .. });
    let commands: HashSet<OutboxId> = rows.iter().filter(|row| is_command(row)).map(|row| row.id).collect();
    let failed_before: HashSet<OutboxId> = rows.iter().filter(|row| row.attempts > 0).map(|row| row.id).collect();
    let mut landed = Landed { let_by: !failed_before.is_empty(), ..Landed::default() };
    let mut rest = Vec::new();
    for (id, outcome) in publish(ports, rows).await {
        match outcome {
            // Others wait for it.
            OutboxOutcome::Published if failed_before.contains(&id) => rest.push((id, OutboxOutcome::Published)),
            OutboxOutcome::Published if commands.contains(&id) => landed.commands.push(id),
            OutboxOutcome::Published => landed.facts.push(id),
            other => rest.push((id, other)),
        }
    }
    landed.settled = rest.iter().map(|(id, _)| *id).collect();
    if !rest.is_empty() {
        settle(ports, rest).await?;
    }
    Ok(landed)
}

async fn settle(ports: &Ports, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> Result<(), Failure> {
    persist("outbox", || ports.state.settle_outbox(outcomes.clone())).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{Event, TraceId};
    use serde_json::json;

    use super::*;
    use crate::testing::Bed;

    fn row(attempts: u32) -> Vec<OutboxRow> {
        let event = Event::new("a.b", "test", TraceId::new(), json!({}));
        vec![OutboxRow { id: OutboxId(1), outgoing: Outgoing::Event { event, mandatory: true }, attempts }]
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_was_answered_before_a_row_was_settled_does_not_bring_it_again() {
        let bed = Bed::paused().await;
        let mut windows = Windows::new(&bed.ports);
        assert!(windows.send(row(0)).await.unwrap());
        assert!(!windows.send(row(0)).await.unwrap(), "it is on its way");
        // A claim is under way meanwhile, and was answered before the row was settled.
        windows.forget_settled();
        windows.land().await.unwrap();
        assert!(!windows.send(row(0)).await.unwrap());
        assert!(windows.send(row(1)).await.unwrap(), "it was given back, and is due again");
        windows.land().await.unwrap();
        windows.forget_settled();
        assert!(windows.send(row(1)).await.unwrap(), "the bus has lost it");
        windows.land().await.unwrap();
        assert_eq!(bed.bus.queue("a.b").len(), 3);
    }
}

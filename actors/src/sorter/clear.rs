//! Clearing a queue that has no place any more: agents share queues now and had one each, or the other way round. Nothing
//! leads to it from now on, what waits in it goes to the inbox, and when it has been empty and unused for a while it is deleted.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::try_join_all, stream};
use greenroom_contract::port::bus::Error;
use tokio::time::{Instant, timeout};

use super::{
    desk::PREFETCH,
    intake::{Intake, put_back, take_in},
    plan::Queue,
};
use crate::{orchestrator::Orchestrator, ports::Ports};

/// How many queues are looked at at a time.
const AT_ONCE: usize = 8;
/// How many that take the place of one are declared at a time: a new one takes two seconds.
const DECLARED_AT_ONCE: usize = 64;
/// How long a queue from which nothing comes is taken for empty.
const QUIET: Duration = Duration::from_millis(300);
/// How long one queue may take, before the others' turn.
const TURN: Duration = Duration::from_secs(10);
/// How long things lead to a queue after it has lost its place: other nodes may not have seen the changed folder yet, which takes
/// up to 20 s, and clear the queues of this kind while this one would clear those of the other. What comes by both ways is
/// dropped once.
const OTHERS: Duration = Duration::from_secs(25);
/// How long a queue is seen empty before it is deleted: what another node holds of it, not settled, is not counted as
/// waiting. That is settled with the inbox, in far less.
const EMPTY: Duration = Duration::from_secs(5);

/// The queues that are being cleared, and those that are gone.
#[derive(Default)]
pub(super) struct Clearing {
    /// Of which state this is: queues of one kind, or of the other.
    shared: bool,
    since: Option<Instant>,
    queues: BTreeMap<String, How>,
}

/// How a queue is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Busy,
    /// Since when.
    Empty(Instant),
    Gone,
}

impl Clearing {
    /// Goes on with these queues. Returns whether all are gone.
    pub(super) async fn go_on(
        &mut self,
        ports: &Ports,
        orchestrator: &Orchestrator,
        shared: bool,
        leftovers: Vec<Queue>,
    ) -> bool {
        if std::mem::replace(&mut self.shared, shared) != shared {
            self.queues.clear();
            self.since = None;
        }
        let others_know = self.since.get_or_insert_with(Instant::now).elapsed() >= OTHERS;
        let todo: Vec<_> = leftovers
            .into_iter()
            .map(|queue| (self.queues.get(&queue.name).copied(), queue))
            .filter(|(how, _)| *how != Some(How::Gone))
            .collect();
        let each = todo.into_iter().map(|(how, queue)| async move {
            let cleared = timeout(TURN, clear(ports, orchestrator, &queue, how, others_know)).await;
            let how = cleared.unwrap_or(Ok(How::Busy)).unwrap_or_else(|error| {
                tracing::warn!(queue = queue.name, %error, "A queue that is not needed any more cannot be cleared; tried again.");
                How::Busy
            });
            (queue.name, how)
        });
        let done: Vec<_> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        let gone = done.iter().all(|(_, how)| *how == How::Gone);
        self.queues.extend(done);
        gone
    }
}

async fn clear(
    ports: &Ports,
    orchestrator: &Orchestrator,
    queue: &Queue,
    before: Option<How>,
    others_know: bool,
) -> Result<How, Error> {
    let name = queue.name.as_str();
    let Some(waiting) = ports.bus.waiting(name).await? else { return Ok(How::Gone) };
    // Nothing may come between: what leads here leads there as well, before it leads here no more.
    for some in queue.instead.chunks(DECLARED_AT_ONCE) {
        try_join_all(some.iter().map(|instead| ports.bus.declare(instead.clone()))).await?;
    }
    if others_know {
        ports.bus.unbind(name, queue.topics.iter().cloned().collect()).await?;
    } else if waiting == 0 {
        return Ok(How::Busy);
    }
    if waiting == 0 {
        return match before {
            Some(How::Empty(since)) if since.elapsed() >= EMPTY => {
                // What another node consumes stays.
                ports.bus.retire(name).await?;
                Ok(if ports.bus.waiting(name).await?.is_none() { How::Gone } else { How::Empty(since) })
            }
            Some(how @ How::Empty(_)) => Ok(how),
            _ => Ok(How::Empty(Instant::now())),
        };
    }
    tracing::info!(queue = name, waiting, "What waits in a queue that is not needed any more is taken in.");
    let mut subscription = ports.bus.consume(name, PREFETCH).await?;
    let mut taken = 0;
    // While things still lead to it, what is there now is enough.
    while others_know || taken < waiting {
        taken += 1;
        match timeout(QUIET, subscription.next()).await {
            Ok(Some(delivery)) => {
                if let Intake::Unknown(delivery, agent) = take_in(ports, orchestrator, delivery, false).await {
                    put_back(delivery, agent).await;
                }
            }
            Ok(None) => return Ok(How::Busy),
            Err(_) if !others_know => break,
            // Where one consumer has all, it may be another's.
            Err(_) if ports.bus.waiting(name).await?.is_none_or(|waiting| waiting == 0) => break,
            Err(_) => {}
        }
    }
    Ok(if others_know { How::Empty(Instant::now()) } else { How::Busy })
}

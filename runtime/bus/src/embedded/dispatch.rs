//! The task that brings to a queue's consumers what needs the disk. There is one while a queue has any consumers; most of
//! them only wait, so what is seldom done is boxed and takes no room meanwhile.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    core::Core,
    queue::{Queue, Step},
    shelf::Letter,
};

const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Serves the queue until nobody consumes from it or the bus is closed.
pub(super) async fn serve(core: Arc<Core>, queue: Arc<Queue>, closing: CancellationToken) {
    let mut shift = Shift { queue: &queue, ended: false };
    let mut leaving = FuturesUnordered::new();
    let mut rest = Rest::default();
    while !closing.is_cancelled() {
        queue.serve(&core);
        match queue.step(&core, rest.is_on()) {
            Step::Bury { letter, hold } => {
                let Letter::Unreadable(reason) = letter else { continue };
                match Box::pin(core.bury(hold, reason, None)).await {
                    Ok(()) => rest.over(),
                    Err(error) => {
                        tracing::debug!(%error, queue = queue.name(), "An unreadable message could not be moved.");
                        rest.begin();
                    }
                }
            }
            Step::Read(want) => match Box::pin(core.fetch(&queue, &want)).await {
                Ok((rows, whole)) => {
                    queue.stock(&want, rows, whole);
                    rest.over();
                }
                Err(_) => {
                    queue.read_failed(&want);
                    rest.begin();
                }
            },
            Step::Wait => {
                for outlet in queue.newcomers() {
                    leaving.push(async move { outlet.closed().await });
                }
                tokio::select! {
                    () = closing.cancelled() => {}
                    () = queue.rung() => {}
                    Some(()) = leaving.next() => {}
                    () = rest.end() => {}
                }
            }
            Step::Done => {
                shift.ended = true;
                return;
            }
        }
    }
}

/// The pause after an error of the database: longer each time, until it answers again.
#[derive(Default)]
struct Rest {
    until: Option<Instant>,
    last: Option<Duration>,
}

impl Rest {
    fn is_on(&mut self) -> bool {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            self.until = None;
        }
        self.until.is_some()
    }

    fn begin(&mut self) {
        let length = self.last.map_or(FIRST_REST, |last| (last * 2).min(LONGEST_REST));
        (self.until, self.last) = (Some(Instant::now() + length), Some(length));
    }

    fn over(&mut self) {
        *self = Self::default();
    }

    /// Resolves at the end of the pause; never when there is none.
    async fn end(&self) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }
}

/// Tells the queue when the task ends in another way than by [`Step::Done`]: cancelled, aborted, or in a panic.
struct Shift<'a> {
    queue: &'a Queue,
    ended: bool,
}

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.queue.abandoned();
        }
    }
}

//! Who looks after a server: it is reconnected when it dies, its tools are listed again, and why it is down is said.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{connection::Connection, failure::why, link::Link, server::State};
use crate::tools::seat::Seat;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A life this long shows that the server is well: after it the waits begin anew.
const STABLE: Duration = Duration::from_secs(60);

/// Looks after one server until it is told to stop.
pub(super) struct Keeper {
    pub(super) link: Arc<Link>,
    pub(super) state: watch::Sender<State>,
    pub(super) look_again: Arc<Notify>,
    pub(super) stop: CancellationToken,
    pub(super) seat: Seat,
}

impl Keeper {
    pub(super) async fn run(self, mut connection: Connection) {
        let mut wait = FIRST_WAIT;
        loop {
            let born = Instant::now();
            let reason = self.serve(&mut connection).await.map(|reason| self.link.veil.over_reason(reason));
            self.state
                .send_replace(State::Down { reason: reason.clone().unwrap_or_else(|| "it was closed".to_owned()) });
            if let Some(reason) = &reason {
                self.seat.down(reason);
            }
            connection.close().await;
            let Some(reason) = reason else { return };
            tracing::warn!(
                tool.server = self.link.name(),
                reason,
                "A tool server is down; its tools are missing until it is back."
            );
            if born.elapsed() >= STABLE {
                wait = FIRST_WAIT;
            }
            match self.reconnect(&mut wait).await {
                Some(new) => connection = new,
                None => return,
            }
        }
    }

    /// Keeps the list of tools true. Returns the reason when the server is no more, and nothing when it is to stop.
    async fn serve(&self, connection: &mut Connection) -> Option<String> {
        loop {
            {
                let (told, over) = connection.watch();
                tokio::select! {
                    () = self.stop.cancelled() => return None,
                    reason = over => return Some(reason),
                    () = told => {}
                    () = self.look_again.notified() => {}
                }
            }
            let listed = tokio::select! {
                () = self.stop.cancelled() => return None,
                listed = timeout(self.link.start_timeout, connection.peer.list_all_tools()) => listed,
            };
            match listed {
                Ok(Ok(tools)) => drop(self.state.send_replace(State::up(connection, tools))),
                // A dead program's exit status says more than its silence does.
                Ok(Err(error)) => {
                    let (_, over) = connection.watch();
                    return Some(timeout(Duration::from_millis(500), over).await.unwrap_or_else(|_| why(&error)));
                }
                Err(_) => return Some("it does not answer any more".to_owned()),
            }
        }
    }

    /// Tries until the server is back; nothing when it is to stop.
    async fn reconnect(&self, wait: &mut Duration) -> Option<Connection> {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = sleep(*wait) => {}
            }
            *wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            let opened = tokio::select! {
                () = self.stop.cancelled() => return None,
                opened = Connection::open(&self.link, &self.look_again) => opened,
            };
            match opened {
                Ok((connection, tools)) => {
                    self.state.send_replace(State::up(&connection, tools));
                    self.seat.again();
                    tracing::info!(tool.server = self.link.name(), "A tool server is back.");
                    return Some(connection);
                }
                Err(reason) => {
                    tracing::warn!(
                        tool.server = self.link.name(),
                        reason,
                        wait_ms = wait.as_millis() as u64,
                        "A tool server is still down and is tried again."
                    );
                    self.seat.down(&reason);
                    self.state.send_replace(State::Down { reason });
                }
            }
        }
    }
}

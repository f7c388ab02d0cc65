//! Questions that may cost the channel on which they are asked: whether a queue is there.
//!
//! The broker answers such a question about a queue that is missing by closing the channel, and the client (lapin 4.12) never again
//! opens a channel of that number on the connection. Numbers come round after 2,047 channels, so that a connection on which
//! much was asked takes no channel any more. They are asked on a connection of their own, which is replaced in time.

use std::sync::Arc;

use lapin::{Channel, Connection, Queue, types::FieldTable};
use tokio::sync::{Mutex, Semaphore};

use super::{
    address::Address,
    call::{Trouble, call},
    link::dial,
    queue::passive,
};

/// How many channels are opened on one connection: fewer than there are numbers.
const MOST_CHANNELS: usize = 1_500;
/// How much is asked at a time.
const AT_ONCE: usize = 16;

/// Who asks.
pub(super) struct Probe {
    address: Arc<Address>,
    name: String,
    turns: Semaphore,
    line: Mutex<Option<Line>>,
}

struct Line {
    connection: Arc<Connection>,
    /// How many channels may still be opened.
    left: usize,
    /// Those whose question was answered.
    idle: Vec<Channel>,
}

impl Probe {
    /// Nothing is connected before the first question.
    pub(super) fn new(address: Arc<Address>, name: String) -> Self {
        Self { address, name, turns: Semaphore::new(AT_ONCE), line: Mutex::default() }
    }

    /// Whether a queue is there, and how it is.
    pub(super) async fn ask(&self, queue: &str) -> Result<Option<Queue>, Trouble> {
        let _turn = self.turns.acquire().await;
        let (connection, idle) = self.line().await?;
        let channel = match idle {
            Some(channel) => channel,
            None => call("opening a channel", connection.create_channel()).await?,
        };
        let asked = channel.queue_declare(queue.into(), passive(), FieldTable::default());
        match call("asking for a queue", asked).await {
            Ok(queue) => {
                self.put_back(&connection, channel).await;
                Ok(Some(queue))
            }
            Err(Trouble::NotFound) => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// A connection with a channel of it that is idle, or on which one may be opened. What is under way on a connection that has no
    /// more ends there, and closes it.
    async fn line(&self) -> Result<(Arc<Connection>, Option<Channel>), Trouble> {
        let mut line = self.line.lock().await;
        if let Some(line) = line.as_mut().filter(|line| line.connection.status().connected()) {
            if let Some(idle) = line.idle.pop() {
                return Ok((Arc::clone(&line.connection), Some(idle)));
            }
            if line.left > 0 {
                line.left -= 1;
                return Ok((Arc::clone(&line.connection), None));
            }
        }
        let connection = Arc::new(dial(&self.address, &self.name).await?);
        *line = Some(Line { connection: Arc::clone(&connection), left: MOST_CHANNELS - 1, idle: Vec::new() });
        Ok((connection, None))
    }

    async fn put_back(&self, connection: &Arc<Connection>, channel: Channel) {
        let mut line = self.line.lock().await;
        if let Some(line) = line.as_mut().filter(|line| Arc::ptr_eq(&line.connection, connection)) {
            line.idle.push(channel);
        }
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}

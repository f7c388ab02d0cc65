//! `SlackSocket`: keeps a connection to Slack.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{jitter, task};
use secrecy::SecretString;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    line::{Strings, serve},
};
use crate::{
    Doors,
    slack::{
        SlackDoor,
        web::{Refused, Socket},
    },
};

/// A connection that ends sooner was none: dialling at once would go on like that for ever.
const STOOD: Duration = Duration::from_secs(10);
/// How long connections may take to end, with what is under way on them.
const END: Duration = Duration::from_secs(5);

/// Slack's requests by Socket Mode.
pub struct SlackSocket {
    doors: Arc<Doors>,
    slack: SlackDoor,
    token: SecretString,
}

/// A connection, and its task.
struct Line {
    strings: Strings,
    task: JoinHandle<()>,
    since: Instant,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SlackSocket {
    /// Requests for `doors`, by connections that the app's own token (`xapp-…`) opens. `None` where Slack is not set up.
    pub fn new(doors: Doors, token: SecretString) -> Option<Self> {
        let slack = doors.slack.clone()?;
        Some(Self { doors: Arc::new(doors), slack, token })
    }

    /// Keeps a connection until `stop`; then what is under way is finished and acknowledged.
    pub async fn run(&self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        let (mut last, mut now) = (None::<Line>, None::<Line>);
        loop {
            let fresh = tokio::select! {
                () = stop.cancelled() => break,
                fresh = self.dial(&mut backoff) => fresh,
            };
            // The next one stands: whatever Slack has still sent to the one before is acknowledged there.
            if let Some(before) = now.replace(fresh) {
                before.strings.leave.cancel();
                last = Some(before);
            }
            let Some(line) = &now else { break };
            tokio::select! {
                () = stop.cancelled() => break,
                () = line.strings.another.cancelled() => {}
            }
            if line.since.elapsed() >= STOOD {
                backoff.succeeded();
            } else {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(backoff.failed(None, jitter())) => {}
                }
            }
        }
        let lines: Vec<Line> = last.into_iter().chain(now).collect();
        lines.iter().for_each(|line| line.strings.stop.cancel());
        for mut line in lines {
            timeout(END, &mut line.task).await.ok();
        }
    }

    /// A connection on which Slack has said hello, however long that takes.
    async fn dial(&self, backoff: &mut Backoff) -> Line {
        loop {
            match self.slack.web.open_socket(&self.token).await {
                Ok(socket) => return self.begin(socket),
                Err(Refused::ForNow { reason, retry_after }) => {
                    let wait = backoff.failed(retry_after, jitter());
                    tracing::warn!(
                        reason,
                        wait_s = wait.as_secs(),
                        "Slack cannot be reached by Socket Mode; trying again."
                    );
                    sleep(wait).await;
                }
                Err(Refused::ForGood { code }) => {
                    let wait = backoff.failed(Some(Duration::from_secs(60)), jitter());
                    tracing::error!(
                        code,
                        "Slack refuses Socket Mode: SLACK_APP_TOKEN has to be an app-level token (xapp-…) with the scope \
                         connections:write, and Socket Mode has to be on in the app's settings."
                    );
                    sleep(wait).await;
                }
            }
        }
    }

    fn begin(&self, socket: Socket) -> Line {
        tracing::info!("Slack is connected by Socket Mode.");
        let strings = Strings::default();
        let task = task::spawn("slack-socket", serve(Arc::clone(&self.doors), socket, strings.clone()));
        Line { strings, task, since: Instant::now() }
    }
}

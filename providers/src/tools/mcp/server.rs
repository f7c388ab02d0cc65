//! A server over many lives: it is reconnected when it dies, its tools are listed again, and why it is down is said.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    port::tool::{Answer, Call, Error, ToolSpec},
    task,
};
use rmcp::{Peer, RoleClient, model::Tool, service::ServiceError};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    allow::allowed,
    connection::Connection,
    failure::{never_arrived, why},
    link::{Link, Target},
    translate,
};
use crate::Unusable;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A life this long shows that the server is well: after it the waits begin anew.
const STABLE: Duration = Duration::from_secs(60);

/// One tool server of one agent.
pub(in crate::tools) struct Server {
    link: Arc<Link>,
    state: watch::Receiver<State>,
    /// Wakes the keeper to list the tools again, by which it also learns whether the server still answers.
    look_again: Arc<Notify>,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Dropped with the server: the keeper then ends it.
    _stop_on_drop: DropGuard,
}

/// Whether the server answers.
#[derive(Clone)]
enum State {
    Up { peer: Peer<RoleClient>, tools: Arc<Vec<ToolSpec>> },
    Down { reason: String },
}

impl Server {
    /// Starts the server, and a keeper that looks after it. Fails when it cannot be reached now.
    pub(in crate::tools) async fn start(link: Link) -> Result<Self, Unusable> {
        let look_again = Arc::new(Notify::new());
        let (connection, tools) = Connection::open(&link, &look_again).await.map_err(|reason| {
            let remedy = "check its command or url, or take it out of the agent's tools";
            Unusable::new(format!("{} cannot be used: {reason}", link.describe()), remedy)
        })?;
        let link = Arc::new(link);
        let (state, receiver) = watch::channel(up(&link, &connection, &tools));
        let stop = CancellationToken::new();
        let keeper = Keeper { link: link.clone(), state, look_again: look_again.clone(), stop: stop.clone() };
        let keeper = Mutex::new(Some(task::spawn("mcp-keeper", keeper.run(connection))));
        let _stop_on_drop = stop.clone().drop_guard();
        Ok(Self { link, state: receiver, look_again, stop, keeper, _stop_on_drop })
    }

    /// What it is called.
    pub(in crate::tools) fn name(&self) -> &str {
        self.link.name()
    }

    /// The tools that can be asked for now, by the server's own names.
    pub(in crate::tools) fn tools(&self) -> Vec<ToolSpec> {
        match self.state() {
            State::Up { tools, .. } => tools.as_ref().clone(),
            State::Down { .. } => Vec::new(),
        }
    }

    /// One line about why it is down; `None` when it is up.
    pub(in crate::tools) fn down_because(&self) -> Option<String> {
        match self.state() {
            State::Up { .. } => None,
            State::Down { reason } => Some(format!("{} is down: {reason}", self.link.describe())),
        }
    }

    /// Calls a tool by the server's own name for it.
    pub(in crate::tools) async fn call(&self, own_name: &str, call: Call) -> Result<Answer, Error> {
        let peer = match self.state() {
            State::Up { peer, .. } if !peer.is_transport_closed() => peer,
            State::Up { .. } => return Err(self.unavailable(call.name, "it has just ended".to_owned())),
            State::Down { reason } => return Err(self.unavailable(call.name, reason)),
        };
        let params = translate::request(own_name, &call);
        // Giving the call up makes the SDK tell the server so.
        let error = match timeout(call.timeout, peer.call_tool(params)).await {
            Ok(Ok(result)) => return Ok(translate::answer(result)),
            // The server has answered: it refuses the arguments, or does not know the tool.
            Ok(Err(ServiceError::McpError(error))) => return Ok(Answer::error(error.message.into_owned())),
            Ok(Err(error)) => error,
            Err(_) => {
                let reason = format!("no answer came within {:?}", call.timeout);
                return Err(Error::OutcomeUnknown { name: call.name, reason });
            }
        };
        self.look_again.notify_one();
        match self.surely_not_made(&error) {
            true => Err(self.unavailable(call.name, why(&error))),
            false => {
                let reason = format!("{} failed during the call: {}", self.link.describe(), why(&error));
                Err(Error::OutcomeUnknown { name: call.name, reason })
            }
        }
    }

    /// Ends the server, and resolves when it is gone.
    pub(in crate::tools) async fn close(&self) {
        self.stop.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && let Err(error) = keeper.await
        {
            tracing::warn!(error = %error, tool.server = self.name(), "The keeper of a tool server ended badly.");
        }
    }

    fn state(&self) -> State {
        let state = self.state.borrow().clone();
        match (&state, self.state.has_changed()) {
            // A server that nobody keeps is not to be relied on.
            (State::Up { .. }, Err(_)) => State::Down { reason: "its keeper has died".to_owned() },
            _ => state,
        }
    }

    fn unavailable(&self, tool: String, reason: String) -> Error {
        Error::Unavailable { name: tool, reason: format!("{} is down: {reason}", self.link.describe()) }
    }

    /// Whether a failed call surely did not reach the server. A program whose input is closed has not read the line,
    /// whose end is what failed; a host that could not be connected to has read nothing, and one that wants credentials
    /// did nothing.
    fn surely_not_made(&self, error: &ServiceError) -> bool {
        match self.link.target {
            Target::Program { .. } => matches!(error, ServiceError::TransportSend(_)),
            Target::Http { .. } => never_arrived(error),
        }
    }
}

fn up(link: &Link, connection: &Connection, tools: &[Tool]) -> State {
    let visible = tools.iter().filter(|tool| allowed(&link.allow, &tool.name));
    let tools = visible.map(|tool| translate::spec(tool, link.effect)).collect();
    State::Up { peer: connection.peer.clone(), tools: Arc::new(tools) }
}

/// Looks after one server until it is told to stop.
struct Keeper {
    link: Arc<Link>,
    state: watch::Sender<State>,
    look_again: Arc<Notify>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(self, mut connection: Connection) {
        let mut wait = FIRST_WAIT;
        loop {
            let born = Instant::now();
            let reason = self.serve(&mut connection).await;
            self.state
                .send_replace(State::Down { reason: reason.clone().unwrap_or_else(|| "it was closed".to_owned()) });
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
                Ok(Ok(tools)) => drop(self.state.send_replace(up(&self.link, connection, &tools))),
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
                    self.state.send_replace(up(&self.link, &connection, &tools));
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
                    self.state.send_replace(State::Down { reason });
                }
            }
        }
    }
}

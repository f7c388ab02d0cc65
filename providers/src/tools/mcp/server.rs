//! A server over many lives, as those who use it see it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    port::tool::{Call, Error},
    task,
};
use rmcp::{
    Peer, RoleClient,
    model::{CallToolResult, Tool},
    service::ServiceError,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    call::{self, End, Signs},
    connection::Connection,
    failure::{never_arrived, why},
    keeper::Keeper,
    link::{Link, Target},
    translate,
};
use crate::{Unusable, tools::seat::Seat};

/// One tool server, of one agent or of several.
pub(super) struct Server {
    link: Arc<Link>,
    state: watch::Receiver<State>,
    /// Wakes the keeper to list the tools again, by which it also learns whether the server still answers.
    look_again: Arc<Notify>,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
    /// Dropped with the server: the keeper then ends it.
    _stop_on_drop: DropGuard,
}

/// A server in the hands of those who may end it. The calls that are under way hold the server, and not this.
pub(in crate::tools) struct Lease(Arc<Server>);

/// Whether the server answers.
#[derive(Clone)]
pub(super) enum State {
    Up { peer: Peer<RoleClient>, signs: Signs, tools: Arc<Vec<Tool>> },
    Down { reason: String },
}

/// What came of a call.
pub(super) enum Outcome {
    /// The tool's answer.
    Answered(CallToolResult),
    /// The server refuses the call, in these words.
    Refused(String),
}

impl Lease {
    /// Starts a server, and a keeper that looks after it. Fails when it cannot be reached now.
    pub(in crate::tools) async fn start(link: Link, seat: Seat) -> Result<Arc<Self>, Unusable> {
        Server::start(link, seat).await.map(|server| Arc::new(Self(Arc::new(server))))
    }

    /// The server, for a call.
    pub(super) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.0)
    }

    /// Gives it back. The last to do so ends the server, whatever calls are under way, and waits until it is gone.
    pub(super) async fn give_back(self: Arc<Self>) {
        if let Some(Self(server)) = Arc::into_inner(self) {
            server.close().await;
        }
    }
}

impl Server {
    async fn start(link: Link, seat: Seat) -> Result<Self, Unusable> {
        let link = Arc::new(link);
        let look_again = Arc::new(Notify::new());
        let (connection, tools) = Connection::open(&link, &look_again).await.map_err(|reason| {
            let remedy = "check its command or url, or take it out of the agent's tools";
            Unusable::new(format!("{} cannot be used: {reason}", link.describe()), remedy)
        })?;
        seat.up();
        let (state, receiver) = watch::channel(State::up(&connection, tools));
        let stop = CancellationToken::new();
        let keeper =
            Keeper { link: Arc::clone(&link), state, look_again: look_again.clone(), stop: stop.clone(), seat };
        let keeper = Mutex::new(Some(task::spawn("mcp-keeper", keeper.run(connection))));
        let _stop_on_drop = stop.clone().drop_guard();
        Ok(Self { link, state: receiver, look_again, stop, keeper, _stop_on_drop })
    }

    /// How it is reached.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// The server's own list of its tools; none while it is down.
    pub(super) fn tools(&self) -> Option<Arc<Vec<Tool>>> {
        match self.state() {
            State::Up { tools, .. } => Some(tools),
            State::Down { .. } => None,
        }
    }

    /// One line about why it is down; `None` when it is up.
    pub(super) fn down_because(&self) -> Option<String> {
        match self.state() {
            State::Up { .. } => None,
            State::Down { reason } => Some(format!("{} is down: {reason}", self.link.describe())),
        }
    }

    /// Calls a tool by the server's own name for it, and waits while it is silent for no longer than `silence`.
    pub(super) async fn call(&self, own_name: &str, call: Call, silence: Duration) -> Result<Outcome, Error> {
        let (peer, signs) = match self.state() {
            State::Up { peer, signs, .. } if !peer.is_transport_closed() => (peer, signs),
            State::Up { .. } => return Err(self.unavailable(call.name, "it has just ended".to_owned())),
            State::Down { reason } => return Err(self.unavailable(call.name, reason)),
        };
        let error = match call::make(&peer, &signs, translate::request(own_name, &call), silence, &call.life).await {
            End::Answered(result) => return Ok(Outcome::Answered(result)),
            End::Refused(words) => return Ok(Outcome::Refused(words)),
            End::Silent(silence) => {
                let reason = format!("no answer and no sign of life came within {silence:?}");
                return Err(Error::OutcomeUnknown { name: call.name, reason });
            }
            End::Failed(error) => error,
        };
        self.look_again.notify_one();
        let reason = self.link.veil.over_reason(why(&error));
        match self.surely_not_made(&error) {
            true => Err(self.unavailable(call.name, reason)),
            false => {
                let reason = format!("{} failed during the call: {reason}", self.link.describe());
                Err(Error::OutcomeUnknown { name: call.name, reason })
            }
        }
    }

    /// Ends the server, and resolves when it is gone.
    async fn close(&self) {
        self.stop.cancel();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && let Err(error) = keeper.await
        {
            tracing::warn!(error = %error, tool.server = self.link.name(), "The keeper of a tool server ended badly.");
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
            Target::Http(_) => never_arrived(error),
        }
    }
}

impl State {
    pub(super) fn up(connection: &Connection, tools: Vec<Tool>) -> Self {
        Self::Up { peer: connection.peer.clone(), signs: connection.signs.clone(), tools: Arc::new(tools) }
    }
}

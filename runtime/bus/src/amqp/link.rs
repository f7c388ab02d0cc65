//! One supervised connection: made in the background, made again when it is lost.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures::StreamExt;
use greenroom_contract::{BoxFuture, port::bus::Error, task};
use lapin::{Channel, Connection, ConnectionProperties, Event, types::LongString};
use tokio::{
    sync::watch,
    time::{Duration, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    address::Address,
    backoff::Backoff,
    call::{Trouble, call, unavailable},
    options::{CONNECT, Options},
    probe::Probe,
};

/// How often a connection's state is looked at besides what it tells: the net below the bell.
const LOOK: Duration = Duration::from_millis(250);

/// So many numbers of channels in a row are tried that were spoiled.
const MOST_SPOILED: usize = 16;

/// What is done with a fresh connection before anybody may use it.
pub(super) type Setup = Box<dyn Fn(Arc<Up>) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// A connection as its users see it: there, or not and why.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    reconnects: watch::Receiver<u64>,
}

#[derive(Debug, Clone)]
enum State {
    Down(Arc<str>),
    Up(Arc<Up>),
}

/// A connection that was made. It may be lost at any moment, which its calls then say.
#[derive(Debug)]
pub(super) struct Up {
    connection: Connection,
    /// Asks whether queues are there.
    pub(super) probe: Arc<Probe>,
    /// Which connection of its link it is, from 1.
    pub(super) epoch: u64,
    blocked: Mutex<Option<String>>,
    changed: watch::Sender<()>,
}

impl Link {
    /// Starts to connect. Ends with `closing`.
    pub(super) fn start(
        what: &'static str,
        address: Arc<Address>,
        options: &Options,
        setup: Setup,
        closing: CancellationToken,
    ) -> Self {
        let (tell, state) = watch::channel(State::Down("not connected yet".into()));
        let (count, reconnects) = watch::channel(0);
        let backoff = Backoff::new(options.first_wait, options.longest_wait);
        let name = format!("{} ({what})", options.name);
        let probe = Arc::new(Probe::new(Arc::clone(&address), format!("{} ({what}, asking)", options.name)));
        let keeper = Keeper { what, name, address, probe, setup, tell, count, epochs: AtomicU64::new(0) };
        drop(task::spawn("bus-link", async move {
            closing.run_until_cancelled(keeper.keep(backoff)).await;
            keeper.close().await;
        }));
        Self { state, reconnects }
    }

    /// The connection, at once; else why there is none.
    pub(super) fn up(&self) -> Result<Arc<Up>, Error> {
        match &*self.state.borrow() {
            State::Up(up) => Ok(Arc::clone(up)),
            State::Down(reason) => Err(unavailable(reason)),
        }
    }

    /// The connection, as soon as there is one; `None` when the bus is closed.
    pub(super) async fn wait(&mut self) -> Option<Arc<Up>> {
        match &*self.state.wait_for(|state| matches!(state, State::Up(_))).await.ok()? {
            State::Up(up) => Some(Arc::clone(up)),
            State::Down(_) => None,
        }
    }

    pub(super) fn reconnects(&self) -> watch::Receiver<u64> {
        self.reconnects.clone()
    }
}

impl Up {
    /// A channel. One whose number the broker has closed a channel under is refused by the client with what was said then: the
    /// next number is taken.
    pub(super) async fn channel(&self) -> Result<Channel, Trouble> {
        let mut spoiled = 0;
        loop {
            match call("opening a channel", self.connection.create_channel()).await {
                Err(Trouble::NotFound | Trouble::Mismatch(_)) if spoiled < MOST_SPOILED => spoiled += 1,
                answer => return answer,
            }
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Why the broker takes no publications on this connection, if it does not.
    pub(super) fn blocked(&self) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the broker takes publications, for so long.
    pub(super) async fn open_for(&self, patience: Duration) -> Result<(), Error> {
        let mut changes = self.changed.subscribe();
        let opened = async {
            while self.blocked().is_some() && self.is_connected() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        drop(timeout(patience, opened).await);
        match self.blocked() {
            Some(reason) => Err(unavailable(format!("the broker blocks publishers: {reason}"))),
            None => Ok(()),
        }
    }

    fn block(&self, reason: Option<String>) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.changed.send_replace(());
    }
}

/// The task that owns the connection.
struct Keeper {
    what: &'static str,
    name: String,
    address: Arc<Address>,
    probe: Arc<Probe>,
    setup: Setup,
    tell: watch::Sender<State>,
    count: watch::Sender<u64>,
    epochs: AtomicU64,
}

impl Keeper {
    async fn keep(&self, mut backoff: Backoff) {
        let mut told = false;
        loop {
            match self.connect().await {
                Ok(up) => {
                    backoff.reset();
                    told = false;
                    tracing::info!(connection = self.what, broker = self.address.shown(), "The broker is connected.");
                    self.tell.send_replace(State::Up(Arc::clone(&up)));
                    if up.epoch > 1 {
                        self.count.send_modify(|count| *count += 1);
                    }
                    let reason = self.attend(&up).await;
                    tracing::warn!(
                        connection = self.what,
                        reason,
                        "The broker's connection is lost; it is made again."
                    );
                    self.down(&reason);
                }
                Err(error) => {
                    // Once, not each try.
                    if !std::mem::replace(&mut told, true) {
                        let broker = self.address.shown();
                        tracing::warn!(connection = self.what, broker, %error, "The broker cannot be reached; tried again.");
                    }
                    self.down(&format!("the broker at {} cannot be reached: {error}", self.address.shown()));
                }
            }
            sleep(backoff.wait()).await;
        }
    }

    fn down(&self, reason: &str) {
        self.tell.send_replace(State::Down(reason.into()));
    }

    async fn connect(&self) -> Result<Arc<Up>, Trouble> {
        let connection = dial(&self.address, &self.name).await?;
        let (probe, epoch) = (Arc::clone(&self.probe), self.epochs.fetch_add(1, Ordering::Relaxed) + 1);
        let up = Arc::new(Up { connection, probe, epoch, blocked: Mutex::new(None), changed: watch::Sender::new(()) });
        match (self.setup)(Arc::clone(&up)).await {
            Ok(()) => Ok(up),
            Err(error) => {
                quit(&up).await;
                Err(Trouble::Other(error.to_string()))
            }
        }
    }

    /// Follows a connection until it is lost, and says why.
    async fn attend(&self, up: &Up) -> String {
        let mut events = std::pin::pin!(up.connection.events_listener());
        if up.connection.status().blocked() {
            up.block(Some("it has been short of memory or disk since before we came".to_owned()));
        }
        let mut last = "the connection was closed".to_owned();
        while up.is_connected() {
            match timeout(LOOK, events.next()).await {
                Err(_) => {}
                Ok(None) => break,
                Ok(Some(Event::ConnectionBlocked(reason))) => {
                    tracing::warn!(connection = self.what, reason, "The broker blocks publishers.");
                    up.block(Some(reason));
                }
                Ok(Some(Event::ConnectionUnblocked)) => {
                    tracing::info!(connection = self.what, "The broker takes publications again.");
                    up.block(None);
                }
                Ok(Some(Event::Error(error))) => last = error.to_string(),
                Ok(Some(_)) => {}
            }
        }
        up.block(None);
        last
    }

    async fn close(&self) {
        let state = self.tell.send_replace(State::Down("the bus is closed".into()));
        if let State::Up(up) = state {
            quit(&up).await;
        }
    }
}

/// Makes a connection, under the name that the broker's tools show.
pub(super) async fn dial(address: &Address, name: &str) -> Result<Connection, Trouble> {
    let properties = ConnectionProperties::default().with_connection_name(LongString::from(name));
    let connected = timeout(CONNECT, Connection::connect_uri(address.uri(), properties)).await;
    Ok(connected.map_err(|_| Trouble::Other(format!("no answer for {} s", CONNECT.as_secs())))??)
}

/// Says good-bye, if the other side still listens.
async fn quit(up: &Up) {
    if up.is_connected() {
        drop(timeout(Duration::from_secs(1), up.connection.close(200, "good-bye".into())).await);
    }
}

//! One life of a server: start, handshake, list, end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, future::Shared};
use greenroom_contract::{BoxFuture, task};
use rmcp::{
    ClientHandler, ClientServiceExt, Peer, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, Implementation, ProgressNotificationParam, ProtocolVersion,
        SubscriptionFilter, Tool,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, NotificationContext, RunningService,
        RunningServiceCancellationToken, Subscription,
    },
    transport::{
        StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use secrecy::ExposeSecret;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    call::Signs,
    child::{Pipes, Program},
    failure::why,
    http::Http,
    hurry::Hurry,
    link::{Access, Link, Remote, Target},
    stderr::{LastWords, listen},
};

/// How long a server gets to end by itself before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the answers of a program that has exited are still read.
const REST: Duration = Duration::from_secs(1);
/// How long a program may think about the question which lifecycle it knows, before it is asked in the older one. Most
/// answer within milliseconds.
const PROBE_OF_A_PROGRAM: Duration = Duration::from_secs(2);
/// How long a server elsewhere may think about the same.
const PROBE: Duration = Duration::from_secs(4);

/// A living server.
pub(super) struct Connection {
    pub(super) peer: Peer<RoleClient>,
    pub(super) signs: Signs,
    cancel: Option<RunningServiceCancellationToken>,
    /// Resolves when the protocol's task has ended.
    ended: Ended,
    program: Option<Program>,
    /// By which a stateless server tells that its tools changed.
    subscription: Option<Subscription>,
    _stderr: Option<task::Scoped>,
}

type Ended = Shared<BoxFuture<'static, ()>>;
type Service = RunningService<RoleClient, Listener>;

/// What we answer to a server, and what we hear from it: that its tools changed, and that a call is getting on.
#[derive(Clone)]
struct Listener {
    changed: Arc<Notify>,
    signs: Signs,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("greenroom", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_progress(&self, progress: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.signs.heard(&progress.progress_token);
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

impl Connection {
    /// Starts the server, shakes hands in whichever lifecycle it knows, and lists its tools. Fails with the reason,
    /// after `start_timeout` at the latest. A program that was started by then is killed.
    pub(super) async fn open(link: &Arc<Link>, changed: &Arc<Notify>) -> Result<(Self, Vec<Tool>), String> {
        let within = link.start_timeout;
        let opened = match timeout(within, Self::start(link, changed)).await {
            Ok(started) => started,
            Err(_) => Err(format!("it did not answer within {within:?}")),
        };
        match &opened {
            Ok((connection, _)) => {
                let version = connection.peer.peer_info().map(|info| info.protocol_version.clone());
                link.set_legacy(version.is_some_and(|version| version.has_initialize()));
            }
            // It may be another one when it comes back.
            Err(_) => link.set_legacy(false),
        }
        opened.map_err(|reason| link.veil.over_reason(reason))
    }

    async fn start(link: &Arc<Link>, changed: &Arc<Notify>) -> Result<(Self, Vec<Tool>), String> {
        let listener = Listener { changed: Arc::clone(changed), signs: Signs::default() };
        let mut connection = match &link.target {
            Target::Program { .. } => start_program(link, listener).await?,
            Target::Http(remote) => {
                let signs = listener.signs.clone();
                let service = reach(remote, link.is_legacy(), &listener).await;
                Self::of(service.map_err(|error| why(&error))?, signs, None, None)
            }
        };
        connection.subscribe(link).await;
        let tools = connection.peer.list_all_tools().await.map_err(|error| why(&error))?;
        Ok((connection, tools))
    }

    fn of(service: Service, signs: Signs, program: Option<Program>, stderr: Option<task::Scoped>) -> Self {
        let peer = service.peer().clone();
        let cancel = Some(service.cancellation_token());
        let ended = async move {
            if let Err(error) = service.waiting().await {
                tracing::debug!(error = %error, "The protocol's task of a tool server ended badly.");
            }
        };
        let ended = ended.boxed().shared();
        Self { peer, signs, cancel, ended, program, subscription: None, _stderr: stderr }
    }

    /// Stateless servers tell of changed tools only who has asked for it; the others tell everyone.
    async fn subscribe(&mut self, link: &Link) {
        let Some(info) = self.peer.peer_info() else { return };
        let tells = info.capabilities.tools.as_ref().and_then(|tools| tools.list_changed).unwrap_or(false);
        if info.protocol_version.has_initialize() || !tells {
            return;
        }
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        match timeout(LAST_WORDS, self.peer.listen(filter)).await {
            Ok(Ok(subscription)) => self.subscription = Some(subscription),
            Ok(Err(error)) => {
                let reason = link.veil.over_reason(why(&error));
                tracing::debug!(reason, "A tool server does not tell when its tools change.");
            }
            Err(_) => tracing::debug!("A tool server did not say whether it tells when its tools change."),
        }
    }

    /// Resolves when a stateless server says that its tools changed; with another server, never.
    /// Apart from [`Self::over`], so that both can be waited for at once.
    pub(super) fn watch(&mut self) -> (impl Future<Output = ()>, impl Future<Output = String>) {
        let Self { subscription, ended, program, .. } = self;
        (told(subscription), over(ended.clone(), program))
    }

    /// Ends the server: says goodbye, closes its input, waits a little, kills it with all that it started.
    pub(super) async fn close(mut self) {
        if let Some(mut subscription) = self.subscription.take()
            && timeout(Duration::from_millis(200), subscription.cancel()).await.is_err()
        {
            tracing::debug!("A tool server's subscription could not be ended.");
        }
        if let Some(cancel) = self.cancel.take() {
            cancel.cancel();
        }
        let deadline = Instant::now() + LAST_WORDS;
        let goodbye = async {
            self.ended.clone().await;
            if let Some(program) = &mut self.program {
                program.exited().await.ok();
            }
        };
        if timeout_at(deadline, goodbye).await.is_err() {
            tracing::debug!("A tool server did not end by itself.");
        }
        // Also one that has ended may have left others behind.
        if let Some(program) = &mut self.program {
            program.kill().await;
        }
    }
}

/// Starts a program, asks it which lifecycle it knows, and turns to the older one soon when it says nothing.
async fn start_program(link: &Arc<Link>, listener: Listener) -> Result<Connection, String> {
    let mut patience = PROBE_OF_A_PROGRAM;
    loop {
        let Target::Program { command, args, env } = &link.target else { return Err("it is no program".to_owned()) };
        let (mut program, Pipes { stdin, stdout, stderr }) =
            Program::start(command, args, env).map_err(|error| format!("it cannot be started: {error}"))?;
        let last = LastWords::default();
        let stderr = task::spawn_scoped("mcp-stderr", listen(stderr, Arc::clone(link), last.clone()));
        let (transport, gave_up) = Hurry::new(AsyncRwTransport::new_client(stdout, stdin), patience);
        let lifecycle = if link.is_legacy() { ClientLifecycleMode::Initialize } else { both() };
        match listener.clone().serve_with_lifecycle(transport, lifecycle).await {
            Ok(service) => return Ok(Connection::of(service, listener.signs.clone(), Some(program), Some(stderr))),
            // It may know the newer lifecycle only, and be slow to say so. It is not hurried again.
            Err(_) if gave_up.load(Ordering::Relaxed) && patience < link.start_timeout => {
                program.kill().await;
                patience = link.start_timeout;
            }
            Err(error) => return Err(start_failure(&mut program, &last, &error).await),
        }
    }
}

/// Reaches a server elsewhere, in the lifecycle that it knows.
async fn reach(remote: &Remote, legacy: bool, listener: &Listener) -> Result<Service, ClientInitializeError> {
    let serve = |lifecycle| {
        let mut config = StreamableHttpClientTransportConfig::with_uri(remote.url.as_str());
        config = config.custom_headers(remote.headers.clone());
        if let Access::Bearer(token) = &remote.access {
            config = config.auth_header(token.expose_secret());
        }
        let tokens = match &remote.access {
            Access::OAuth(tokens) => Some(Arc::clone(tokens)),
            Access::Open | Access::Bearer(_) => None,
        };
        let client = Http::new(remote.client.clone(), tokens);
        let transport = StreamableHttpClientTransport::with_client(client, config);
        listener.clone().serve_with_lifecycle(transport, lifecycle)
    };
    if !legacy && let Ok(service) = timeout(PROBE, serve(both())).await {
        return service;
    }
    match serve(ClientLifecycleMode::Initialize).await {
        // It is slow, or another one than it was.
        Err(_) => serve(both()).await,
        served => served,
    }
}

/// The newer lifecycle if the server knows it, else the older one.
fn both() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::LATEST],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    }
}

async fn told(subscription: &mut Option<Subscription>) {
    if let Some(open) = subscription {
        match open.next().await {
            Ok(Some(_)) => return,
            Ok(None) | Err(_) => *subscription = None,
        }
    }
    std::future::pending().await
}

/// Resolves, with the reason, when the server is no more.
async fn over(ended: Ended, program: &mut Option<Program>) -> String {
    let Some(program) = program else {
        ended.await;
        return "it closed the connection".to_owned();
    };
    tokio::select! {
        () = ended.clone() => match timeout(REST, program.exited()).await {
            Ok(status) => exited(status),
            Err(_) => "it closed its output".to_owned(),
        },
        status = program.exited() => {
            // What it answered last may still lie in the pipe.
            if timeout(REST, ended).await.is_err() {
                tracing::debug!("A tool server has exited, and something it started holds its output open.");
            }
            exited(status)
        }
    }
}

fn exited(status: std::io::Result<std::process::ExitStatus>) -> String {
    match status {
        Ok(status) => format!("it exited ({status})"),
        Err(error) => format!("it exited ({error})"),
    }
}

/// A program that exits at once is the commonest failure, and its last words say more than a broken handshake does.
async fn start_failure(program: &mut Program, last: &LastWords, error: &ClientInitializeError) -> String {
    match timeout(Duration::from_millis(500), program.exited()).await {
        Ok(Ok(status)) => format!("it exited at once ({status}){}", last.told().await),
        _ => why(error),
    }
}

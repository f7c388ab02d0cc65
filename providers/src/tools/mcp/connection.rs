//! One life of a server: start, handshake, list, end.

use std::{process::Stdio, sync::Arc, time::Duration};

use futures::{FutureExt, future::Shared};
use greenroom_contract::{BoxFuture, task};
use rmcp::{
    ClientHandler, ClientServiceExt, Peer, RoleClient,
    model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, SubscriptionFilter, Tool},
    service::{
        ClientLifecycleMode, NotificationContext, RunningService, RunningServiceCancellationToken, Subscription,
    },
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use secrecy::ExposeSecret;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::Notify,
    time::timeout,
};

use super::{
    failure::why,
    link::{Link, Target},
};

/// How long a server gets to end by itself before it is killed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long the answers of a program that has exited are still read.
const REST: Duration = Duration::from_secs(1);
const LONGEST_LOG_LINE: u64 = 4096;

/// A living server.
pub(super) struct Connection {
    pub(super) peer: Peer<RoleClient>,
    cancel: Option<RunningServiceCancellationToken>,
    /// Resolves when the protocol's task has ended.
    ended: Ended,
    child: Option<Child>,
    /// By which a stateless server tells that its tools changed.
    subscription: Option<Subscription>,
    _stderr: Option<task::Scoped>,
}

type Ended = Shared<BoxFuture<'static, ()>>;

/// What we answer to a server, and what we hear from it: only that its tools changed.
struct Listener {
    changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("greenroom", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }
}

impl Connection {
    /// Starts the server, shakes hands in whichever lifecycle it knows, and lists its tools. Fails with the reason,
    /// after `start_timeout` at the latest. A program that was started by then is killed.
    pub(super) async fn open(link: &Link, changed: &Arc<Notify>) -> Result<(Self, Vec<Tool>), String> {
        let within = link.start_timeout;
        match timeout(within, Self::start(link, changed)).await {
            Ok(started) => started,
            Err(_) => Err(format!("it did not answer within {within:?}")),
        }
    }

    async fn start(link: &Link, changed: &Arc<Notify>) -> Result<(Self, Vec<Tool>), String> {
        let listener = Listener { changed: changed.clone() };
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let mut connection = match &link.target {
            Target::Program { command, args, env } => {
                let (mut child, stdout, stdin, stderr) =
                    spawn(command, args, env).map_err(|error| format!("it cannot be started: {error}"))?;
                let stderr = task::spawn_scoped("mcp-stderr", log_lines(stderr, link.name().to_owned()));
                match listener.serve_with_lifecycle((stdout, stdin), lifecycle).await {
                    Ok(service) => Self::of(service, Some(child), Some(stderr)),
                    Err(error) => return Err(start_failure(&mut child, &error).await),
                }
            }
            Target::Http { client, url, bearer } => {
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
                if let Some(token) = bearer {
                    config = config.auth_header(token.expose_secret());
                }
                let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
                let service = listener.serve_with_lifecycle(transport, lifecycle).await;
                Self::of(service.map_err(|error| why(&error))?, None, None)
            }
        };
        connection.subscribe().await;
        let tools = connection.peer.list_all_tools().await.map_err(|error| why(&error))?;
        Ok((connection, tools))
    }

    fn of(service: RunningService<RoleClient, Listener>, child: Option<Child>, stderr: Option<task::Scoped>) -> Self {
        let peer = service.peer().clone();
        let cancel = Some(service.cancellation_token());
        let ended = async move {
            if let Err(error) = service.waiting().await {
                tracing::debug!(error = %error, "The protocol's task of a tool server ended badly.");
            }
        };
        let ended = ended.boxed().shared();
        Self { peer, cancel, ended, child, subscription: None, _stderr: stderr }
    }

    /// Stateless servers tell of changed tools only who has asked for it; the others tell everyone.
    async fn subscribe(&mut self) {
        let Some(info) = self.peer.peer_info() else { return };
        let tells = info.capabilities.tools.as_ref().and_then(|tools| tools.list_changed).unwrap_or(false);
        if info.protocol_version.has_initialize() || !tells {
            return;
        }
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        match timeout(LAST_WORDS, self.peer.listen(filter)).await {
            Ok(Ok(subscription)) => self.subscription = Some(subscription),
            Ok(Err(error)) => tracing::debug!(error = %error, "A tool server does not tell when its tools change."),
            Err(_) => tracing::debug!("A tool server does not answer whether it tells when its tools change."),
        }
    }

    /// Resolves when a stateless server says that its tools changed; with another server, never.
    /// Apart from [`Self::over`], so that both can be waited for at once.
    pub(super) fn watch(&mut self) -> (impl Future<Output = ()>, impl Future<Output = String>) {
        let Self { subscription, ended, child, .. } = self;
        (told(subscription), over(ended.clone(), child))
    }

    /// Ends the server: says goodbye, closes its input, waits a little, kills it.
    pub(super) async fn close(mut self) {
        if let Some(mut subscription) = self.subscription.take()
            && timeout(Duration::from_millis(200), subscription.cancel()).await.is_err()
        {
            tracing::debug!("A tool server's subscription could not be ended.");
        }
        if let Some(cancel) = self.cancel.take() {
            cancel.cancel();
        }
        let deadline = tokio::time::Instant::now() + LAST_WORDS;
        let goodbye = async {
            self.ended.clone().await;
            if let Some(child) = &mut self.child {
                child.wait().await.ok();
            }
        };
        if tokio::time::timeout_at(deadline, goodbye).await.is_ok() {
            return;
        }
        if let Some(child) = &mut self.child
            && let Err(error) = child.kill().await
        {
            tracing::warn!(error = %error, "A tool server could not be killed.");
        }
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
async fn over(ended: Ended, child: &mut Option<Child>) -> String {
    let Some(child) = child else {
        ended.await;
        return "it closed the connection".to_owned();
    };
    tokio::select! {
        () = ended.clone() => match timeout(REST, child.wait()).await {
            Ok(status) => exited(status),
            Err(_) => "it closed its output".to_owned(),
        },
        status = child.wait() => {
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

type Parts = (Child, ChildStdout, ChildStdin, ChildStderr);

fn spawn(command: &str, args: &[String], env: &[(String, String)]) -> std::io::Result<Parts> {
    let mut program = Command::new(command);
    program
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // A Ctrl-C at the terminal is for us: running work gets its time, and its tools, to finish.
    #[cfg(unix)]
    program.process_group(0);
    let mut child = program.spawn()?;
    match (child.stdout.take(), child.stdin.take(), child.stderr.take()) {
        (Some(stdout), Some(stdin), Some(stderr)) => Ok((child, stdout, stdin, stderr)),
        _ => Err(std::io::Error::other("its input and output are not connected")),
    }
}

/// A program that exits at once is the commonest failure, and its exit status says more than a broken handshake does.
async fn start_failure(child: &mut Child, error: &rmcp::service::ClientInitializeError) -> String {
    match timeout(Duration::from_millis(500), child.wait()).await {
        Ok(Ok(status)) => format!("it exited at once ({status}); its own words are in the log at debug level"),
        _ => why(error),
    }
}

async fn log_lines(stderr: ChildStderr, server: String) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line is cut where it is too long; the rest is read as the next.
        match (&mut reader).take(LONGEST_LOG_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                tracing::debug!(tool.server = server, tool.stderr = text.trim_end(), "A tool server wrote to its log.");
            }
        }
    }
}

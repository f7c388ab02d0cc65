//! Start: from nothing to a node that takes work in. Read it as a list.

use std::{net::SocketAddr, sync::Arc};

use greenroom_actors::{
    agent,
    allowance::{Allowance, spent_today},
    caretaker::{LEASE, Vitals, dead_letters, deadlines, housekeeping, store_monitor, stuck, topology},
    cluster::{Cluster, Face, presence, scout},
    lifecycle::lifecycle,
    orchestrator::{Orchestrator, rounds},
    porter::porter,
    ports::Ports,
    relay,
    scheduler::{caller, scheduler},
    service::service,
    sorter::{Sorting, sorter},
    supervisor::{Breaker, ChildSpec, State as Children, Supervisor, SupervisorHandle},
    watchdog::{Rules, Sampler, Time, Watchdog},
};
use greenroom_config::{Environment, NodeConfig, Role, watch::Watcher};
use greenroom_contract::{
    Clock,
    clock::SystemClock,
    execution::Failure,
    money::MicroUsd,
    port::{
        operator::Operator,
        reply::Replies,
        state::{Clarifications, State},
    },
    tree::Table,
};
use greenroom_gateway::{
    Doors,
    slack::{SlackDoor, SlackReplies, SlackRules, SlackSigns, SlackSocket, SlackWeb, WebOptions},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    backends::{self, Backends},
    error::BootError,
    outfitter::Wardrobe,
    replies::WaysBack,
    stage::Stage,
    time_to_stop::TimeToStop,
};

/// A node that is up.
pub struct Node {
    /// Where its HTTP door is.
    pub addr: SocketAddr,
    /// The machine.
    pub orchestrator: Orchestrator,
    pub(super) ports: Arc<Ports>,
    pub(super) root: SupervisorHandle,
    pub(super) agents: SupervisorHandle,
    pub(super) closing: CancellationToken,
    pub(super) config: NodeConfig,
    pub(super) watchdog: Watchdog,
    /// Ends with the node.
    pub(super) _sampler: Sampler,
    /// Its threads are left behind with the node.
    pub(super) _stage: Stage,
}

/// Starts a node: with every role and nothing set, everything in this process.
pub async fn start(config: NodeConfig, env: Environment) -> Result<Node, BootError> {
    // The one TLS backend of the program; an error only says that it is already in place.
    rustls::crypto::ring::default_provider().install_default().ok();

    // What the folder says is read first: a mistake there should not leave half a node behind.
    let (loaded, watcher) = Watcher::open(&config.config_dir)?;
    let rules = greenroom_config::provider_rules(&config.config_dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let Backends { state, bus, cache, shared } = backends::open(&config, &clock).await?;
    let listener = TcpListener::bind(config.http.addr)
        .await
        .map_err(|source| BootError::Listen { addr: config.http.addr, source })?;
    let addr = listener.local_addr().map_err(|source| BootError::Listen { addr: config.http.addr, source })?;

    let allowance = allowance(&config, &*state, clock.now()).await?;
    let table = Table::new(&config.node);
    let http = greenroom_providers::http_client().map_err(other)?;
    let stage = Stage::new().map_err(other)?;
    let watchdog = Watchdog::new(Time::machine(), Rules::default(), stage.workers());
    let sampler = Sampler::thread(watchdog.clone()).map_err(other)?;
    let slack = Arc::new(SlackWeb::new(web_options(&config)).map_err(other)?);
    let signs = Arc::new(SlackSigns::new(Arc::clone(&slack)));
    let ports = Ports {
        node: config.node.clone(),
        state: Arc::clone(&state),
        bus,
        clock: Arc::clone(&clock),
        outfitter: Arc::new(Wardrobe::new(env.clone(), http, rules, clock, table.clone())),
        table: table.clone(),
        outbox: Arc::default(),
        ended: Default::default(),
        given_back: Arc::default(),
        executions: stage.handle(),
        lease: Arc::default(),
        dormitory: Arc::default(),
        // Only a broker has to pay for queues.
        sorting: Arc::new(if shared { Sorting::above(config.queues) } else { Sorting::default() }),
        watchdog: watchdog.clone(),
        storm: Breaker::default(),
        signs: Arc::clone(&signs) as _,
        allowance,
        who: Arc::default(),
    };
    #[cfg(debug_assertions)]
    let ports = super::crash_points::around(ports, &env);
    let ports = Arc::new(ports);
    // The lease comes first: what a node without one holds counts as a dead node's.
    state.heartbeat(&config.node, LEASE).await?;
    let again = state.take_back(&config.node).await?;
    if again > 0 {
        tracing::info!(executions = again, "Executions that the last run of this node left unfinished are resumed.");
    }

    let (root, root_cell) = Supervisor::start(table.clone(), "", Children::default(), None).await.map_err(other)?;
    let (agents, _) =
        Supervisor::start(table, agent::BRANCH, Children::of_equals(), Some(root_cell)).await.map_err(other)?;
    let vitals = Arc::new(Vitals::new(cache));
    let roles = config.roles.clone();
    let time = TimeToStop::within(config.shutdown_grace);
    let orchestrator =
        Orchestrator::new(Arc::clone(&ports), agents.clone(), Arc::clone(&vitals), roles.clone(), time.agents);
    orchestrator.keep_paused(state.paused().await?, None);
    let closing = CancellationToken::new();
    let questions: Arc<dyn Clarifications> = Arc::clone(&ports.state) as _;
    let replies: Arc<dyn Replies> =
        Arc::new(WaysBack { slack: SlackReplies::new(Arc::clone(&slack), questions, config.slack.approvers.clone()) });
    #[cfg(debug_assertions)]
    let replies = super::crash_points::around_replies(replies, &env);

    // Services stop in reverse order: the door tells how things are until the end.
    let doors = doors(&config, &ports, &orchestrator, &closing, slack);
    let socket = socket_token(&config).and_then(|token| SlackSocket::new(doors.clone(), token));
    root.add(gateway(doors, listener));
    root.add(store_monitor(Arc::clone(&ports), vitals));
    if shared {
        join(&config, addr, &ports, &orchestrator, &root);
    }
    if roles.has(Role::Orchestrator) {
        root.add(dead_letters(Arc::clone(&ports)));
        root.add(deadlines(Arc::clone(&ports)));
        root.add(stuck(Arc::clone(&ports)));
        root.add(caller(Arc::clone(&ports), orchestrator.clone()));
        if let Some(retention) = config.retention {
            root.add(housekeeping(Arc::clone(&ports), retention));
        }
    }
    root.add(relay::relay(Arc::clone(&ports)));
    root.add(relay::replies(Arc::clone(&ports), replies));
    root.add(slack_signs(signs));
    orchestrator.apply(loaded);
    if shared && roles.has(Role::Orchestrator) {
        root.add(topology(Arc::clone(&ports), orchestrator.clone()));
    }
    if roles.has(Role::Scheduler) {
        root.add(scheduler(Arc::clone(&ports), orchestrator.clone()));
    }
    root.add(scout(Arc::clone(&ports), orchestrator.clone()));
    root.add(rounds(orchestrator.clone()));
    root.add(porter(Arc::clone(&ports), closing.clone()));
    if shared {
        root.add(sorter(Arc::clone(&ports), orchestrator.clone(), roles, closing.clone()));
    }
    if let Some(socket) = socket {
        root.add(slack_socket(socket));
    }
    root.add(config_watcher(&config, watcher, orchestrator.clone()));
    root.add(lifecycle(&ports, Arc::new(orchestrator.clone()), closing.clone()));
    orchestrator.set_ready(true);
    write_address(&config, addr)?;
    Ok(Node { addr, orchestrator, ports, root, agents, closing, config, watchdog, _sampler: sampler, _stage: stage })
}

/// What the node may spend today, less what it spent already before a restart.
async fn allowance(config: &NodeConfig, state: &dyn State, now: Timestamp) -> Result<Allowance, BootError> {
    let Some(most) = config.budget_usd_per_day else { return Ok(Allowance::default()) };
    let spent = spent_today(state, &config.node, now).await?;
    Ok(Allowance::new(Some(MicroUsd::from_usd(most)), spent, now))
}

/// Makes the node one of a cluster: it tells the others how it is, and hears them.
fn join(
    config: &NodeConfig,
    addr: SocketAddr,
    ports: &Arc<Ports>,
    orchestrator: &Orchestrator,
    root: &SupervisorHandle,
) {
    let face = Face {
        node: config.node.clone(),
        roles: config.roles.words(),
        addr: addr.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: ports.clock.now(),
    };
    let cluster = Arc::new(Cluster::new(face, Arc::clone(&ports.bus)));
    orchestrator.join(Arc::clone(&cluster));
    root.add(presence(Arc::clone(ports), cluster, orchestrator.clone()));
}

fn web_options(config: &NodeConfig) -> WebOptions {
    WebOptions {
        bot_token: config.slack.bot_token.clone(),
        bot_tokens: config.slack.bot_tokens.clone(),
        api_url: config.slack.api_url.clone(),
        response_hosts: config.slack.response_hosts.clone(),
    }
}

fn doors(
    config: &NodeConfig,
    ports: &Ports,
    orchestrator: &Orchestrator,
    closing: &CancellationToken,
    web: Arc<SlackWeb>,
) -> Doors {
    let operator: Arc<dyn Operator> = Arc::new(orchestrator.clone());
    // Slack is told one address, that of the nodes with this role.
    let secrets = [config.slack.signing_secret.clone(), config.slack.signing_secret_old.clone()];
    let secrets = secrets.into_iter().flatten().filter(|_| config.roles.has(Role::Gateway));
    let rules = SlackRules {
        users: config.slack.users.clone(),
        approvers: config.slack.approvers.clone(),
        bots: config.slack.bots.clone(),
        direct_messages: config.slack.direct_messages,
    };
    Doors {
        operator,
        state: Arc::clone(&ports.state),
        table: ports.table.clone(),
        bus: Arc::clone(&ports.bus),
        clock: Arc::clone(&ports.clock),
        slack: match SlackDoor::new(secrets, rules.clone(), Arc::clone(&web)) {
            None => socket_token(config).map(|_| SlackDoor::without_secrets(rules, web)),
            door => door,
        },
        token: config.http.token.clone(),
        version: env!("CARGO_PKG_VERSION"),
        closing: closing.clone(),
    }
}

/// The HTTP door as a service. Its first start uses the listener that the boot has bound; a restart binds anew.
fn gateway(doors: Doors, listener: TcpListener) -> ChildSpec {
    let addr = listener.local_addr();
    let first = Arc::new(Mutex::new(Some(listener)));
    service("gateway", move |stop| {
        let (doors, first, addr) = (doors.clone(), Arc::clone(&first), addr.as_ref().ok().copied());
        async move {
            let unbound = |error: &dyn std::fmt::Display| Failure::new("listen", error.to_string());
            let listener = match (first.lock().await.take(), addr) {
                (Some(listener), _) => listener,
                (None, Some(addr)) => TcpListener::bind(addr).await.map_err(|error| unbound(&error))?,
                (None, None) => return Err(unbound(&"the address is not known")),
            };
            greenroom_gateway::serve(listener, greenroom_gateway::router(doors), stop)
                .await
                .map_err(|error| unbound(&error))
        }
    })
}

/// The token by which this node opens connections to Slack, if it is one of those that answer Slack.
fn socket_token(config: &NodeConfig) -> Option<SecretString> {
    config.slack.app_token.clone().filter(|token| config.roles.has(Role::Gateway) && !token.expose_secret().is_empty())
}

/// Slack's requests by Socket Mode, as a service. Stopping begins with it: nothing new is taken in.
fn slack_socket(socket: SlackSocket) -> ChildSpec {
    let socket = Arc::new(socket);
    service("slack-socket", move |stop| {
        let socket = Arc::clone(&socket);
        async move {
            socket.run(stop).await;
            Ok(())
        }
    })
}

/// The signs of work that Slack shows, as a service.
fn slack_signs(signs: Arc<SlackSigns>) -> ChildSpec {
    service("slack-signs", move |stop| {
        let signs = Arc::clone(&signs);
        async move {
            signs.run(stop).await;
            Ok(())
        }
    })
}

/// The watcher of the configuration folder as a service. Its first start goes on from what the boot has read; a restart
/// reads anew.
fn config_watcher(config: &NodeConfig, watcher: Watcher, orchestrator: Orchestrator) -> ChildSpec {
    let folder = config.config_dir.clone();
    let first = Arc::new(Mutex::new(Some(watcher)));
    service("config-watcher", move |stop| {
        let (first, folder, orchestrator) = (Arc::clone(&first), folder.clone(), orchestrator.clone());
        async move {
            let watcher = first.lock().await.take().unwrap_or_else(|| Watcher::new(&folder));
            let (sender, mut changes) = mpsc::channel(1);
            let apply = async {
                while let Some(loaded) = changes.recv().await {
                    orchestrator.apply(loaded);
                }
            };
            futures::join!(watcher.run(sender, stop), apply);
            Ok(())
        }
    })
}

/// Tells the command line on this machine where the node is.
fn write_address(config: &NodeConfig, addr: SocketAddr) -> Result<(), BootError> {
    let file = config.data_dir.join(crate::cli::ADDRESS_FILE);
    std::fs::write(&file, addr.to_string()).map_err(|error| BootError::Other(format!("{}: {error}", file.display())))
}

fn other(error: impl std::fmt::Display) -> BootError {
    BootError::Other(error.to_string())
}

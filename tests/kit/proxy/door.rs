//! The proxy's own side: listening, and being told how to fail.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_contract::task::{Scoped, spawn, spawn_scoped};
use tokio::{net::TcpListener, sync::watch};
use url::Url;

use super::{
    flow::{Direction, Flow},
    pump,
};

/// A proxy before one server. It passes everything until it is told to fail. When it is dropped its connections are
/// reset and its port is closed.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    /// What clients are to use instead of the server's URL.
    url: String,
    flow: watch::Sender<Flow>,
    open: Arc<AtomicUsize>,
    _serving: Scoped,
}

impl Proxy {
    /// A proxy before the server of this URL (`amqp`, `postgres`, `redis`, `http`).
    ///
    /// # Panics
    /// When the URL names no server.
    pub async fn before(url: &str) -> Self {
        let mut parsed = match Url::parse(url) {
            Ok(parsed) => parsed,
            Err(error) => panic!("the proxy is put before no URL: {error}"),
        };
        let usual = match parsed.scheme() {
            "amqp" => 5672,
            "redis" => 6379,
            "http" => 80,
            _ => 5432,
        };
        let server = format!("{}:{}", parsed.host_str().unwrap_or("127.0.0.1"), parsed.port().unwrap_or(usual));
        let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| Ok((l.local_addr()?, l))) {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the proxy cannot listen: {error}"),
        };
        let changed = parsed.set_host(Some("127.0.0.1")).is_ok() && parsed.set_port(Some(address.port())).is_ok();
        assert!(changed, "a URL of the kind {:?} cannot be led through a proxy", parsed.scheme());
        let (flow, open) = (watch::Sender::new(Flow::default()), Arc::new(AtomicUsize::new(0)));
        let serving = spawn_scoped("kit proxy", serve(listener, server, flow.subscribe(), Arc::clone(&open)));
        Self { address, url: parsed.to_string(), flow, open, _serving: serving }
    }

    /// The server's URL, led through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections stand.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Resets every connection (RST), and every new one, until [`Self::heal`].
    pub fn cut(&self) {
        self.flow.send_modify(|flow| flow.cut = true);
    }

    /// Resets every connection that stands; new ones pass.
    pub fn reset(&self) {
        self.flow.send_modify(|flow| flow.generation += 1);
    }

    /// Lets nothing through either way, and tells nobody: connections stand, new ones are accepted, no byte arrives.
    /// What was sent arrives after [`Self::heal`], as it does when a network comes back.
    pub fn stall(&self) {
        self.flow.send_modify(|flow| (flow.to_server_stalled, flow.to_client_stalled) = (true, true));
    }

    /// Lets one way through only.
    pub fn half(&self, open: Direction) {
        self.flow.send_modify(|flow| {
            (flow.to_server_stalled, flow.to_client_stalled) =
                (open == Direction::ToClient, open == Direction::ToServer);
        });
    }

    /// Lets each piece arrive so much later, each way.
    pub fn slow(&self, by: Duration) {
        self.flow.send_modify(|flow| flow.slower_by = by);
    }

    /// Lets everything through again at full speed. Connections that were reset stay so.
    pub fn heal(&self) {
        self.flow.send_modify(|flow| *flow = Flow { generation: flow.generation, ..Flow::default() });
    }
}

async fn serve(listener: TcpListener, server: String, flow: watch::Receiver<Flow>, open: Arc<AtomicUsize>) {
    // An error of accept concerns one connection, or passes when others have closed.
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if flow.borrow().cut {
            client.set_zero_linger().ok();
            continue;
        }
        // It ends with its connection, or when the proxy's sender is dropped.
        let (server, flow, counted) = (server.clone(), flow.clone(), Counted::new(&open));
        spawn("kit proxy connection", async move {
            pump::carry(client, &server, flow).await;
            drop(counted);
        });
    }
}

/// Counts a connection as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

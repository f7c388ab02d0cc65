//! What the proxy lets through at the moment.

use std::time::Duration;

use tokio::sync::watch;

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// The state of the network.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// Nobody gets through, and who tries is told so by a reset.
    pub(super) cut: bool,
    pub(super) to_server_stalled: bool,
    pub(super) to_client_stalled: bool,
    /// How much later each piece arrives.
    pub(super) slower_by: Duration,
    /// Connections of an earlier generation are reset.
    pub(super) generation: u64,
}

impl Flow {
    fn stalled(&self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.to_server_stalled,
            Direction::ToClient => self.to_client_stalled,
        }
    }
}

/// Waits until this way is open, and returns how slow it is. `None` when the proxy is gone.
pub(super) async fn open(flow: &mut watch::Receiver<Flow>, direction: Direction) -> Option<Duration> {
    let flow = flow.wait_for(|flow| !flow.stalled(direction)).await.ok()?;
    Some(flow.slower_by)
}

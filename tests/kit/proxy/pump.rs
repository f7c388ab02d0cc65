//! One connection through the proxy.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
};

use super::flow::{self, Direction, Flow};

/// Carries bytes until both sides have ended, or until the network is cut: then both get a reset. So do both when one of
/// them fails, since that is what the other would see without the proxy.
pub(super) async fn carry(mut client: TcpStream, server: &str, flow: watch::Receiver<Flow>) {
    let generation = flow.borrow().generation;
    let mut cut = flow.clone();
    let mut far = None;
    let whole = tokio::select! {
        biased;
        // An error means that the proxy is gone.
        _ = cut.wait_for(|flow| flow.cut || flow.generation != generation) => false,
        carried = both_ways(&mut client, &mut far, server, flow) => carried.is_ok(),
    };
    if !whole {
        client.set_zero_linger().ok();
        if let Some(far) = far {
            far.set_zero_linger().ok();
        }
    }
}

/// Opens the far side and carries until both have ended. Whoever comes while nothing gets through to the server waits,
/// as for an answer to its first packet.
async fn both_ways(
    client: &mut TcpStream,
    far: &mut Option<TcpStream>,
    server: &str,
    mut flow: watch::Receiver<Flow>,
) -> io::Result<()> {
    flow::open(&mut flow, Direction::ToServer).await;
    let far = far.insert(TcpStream::connect(server).await?);
    client.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = far.split();
    tokio::try_join!(
        one_way(from_client, to_server, flow.clone(), Direction::ToServer),
        one_way(from_server, to_client, flow.clone(), Direction::ToClient),
    )?;
    Ok(())
}

/// Carries one way until its end, which it hands on. While the way is stalled nothing is read, so that the sender's own
/// buffers fill, and nothing that was read is lost: after a heal it arrives, late.
async fn one_way(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut flow: watch::Receiver<Flow>,
    direction: Direction,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        if flow::open(&mut flow, direction).await.is_none() {
            return Ok(());
        }
        let read = from.read(&mut buffer).await?;
        // It may have been stalled while we waited for these bytes.
        let Some(slower_by) = flow::open(&mut flow, direction).await else { return Ok(()) };
        if !slower_by.is_zero() {
            tokio::time::sleep(slower_by).await;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

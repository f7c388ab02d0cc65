//! The server: accepts connections, bounds what a slow peer may cost, and ends them when it stops.

use std::{io, pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use greenroom_contract::task;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::wire::{Wire, Wires};

/// How long open requests may take once the server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(5);
/// How long a peer may take to send a request's head, counted from the connection's start or its last answer: who sends
/// it a byte at a time holds no connection for longer, nor does one that is kept alive for nothing.
pub const HEAD: Duration = Duration::from_secs(30);

/// Serves `router` until `cancel` is cancelled, then takes no more connections and gives open requests [`DRAIN`].
/// It fails never by itself: an accept that fails is tried again.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> io::Result<()> {
    let mut wires = Wires { listener, stop: cancel.clone() };
    // Closed when the last connection has dropped its receiver.
    let (open, connection) = watch::channel(());
    // Dropped with this future: connections that are still there when nobody waits any more are cut.
    let cut = CancellationToken::new();
    let _cut = cut.clone().drop_guard();
    loop {
        let wire = tokio::select! {
            () = cancel.cancelled() => break,
            (wire, _) = wires.accept() => wire,
        };
        task::spawn("http-connection", {
            let (router, cancel, cut, connection) = (router.clone(), cancel.clone(), cut.clone(), connection.clone());
            async move {
                tokio::select! {
                    () = converse(wire, router, cancel) => {}
                    () = cut.cancelled() => {}
                }
                drop(connection);
            }
        });
    }
    drop((wires, connection));
    if tokio::time::timeout(DRAIN, open.closed()).await.is_err() {
        tracing::warn!(drain_ms = DRAIN.as_millis() as u64, "Requests that were still open have been cut.");
    }
    Ok(())
}

/// One connection, to its end.
async fn converse(wire: Wire, router: Router, cancel: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), TowerToHyperService::new(router)));
    tokio::select! {
        ended = connection.as_mut() => return log(ended),
        () = cancel.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    log(connection.await);
}

/// A connection that broke is the peer's affair.
fn log<E: std::fmt::Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early.");
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::task::spawn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;
    use crate::testing::{House, Mood};

    async fn ask(stream: &mut TcpStream, request: &str) {
        let text = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_hold_up_a_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let cancel = CancellationToken::new();
        let served = spawn("server", serve(listener, House::new().router, cancel.clone()));
        ask(&mut stream, "GET /health/live").await;
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        cancel.cancel();
        tokio::time::timeout(DRAIN / 2, served).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_is_cut_when_the_drain_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let house = House::new();
        house.operator.set(Mood::Hangs);
        let cancel = CancellationToken::new();
        let served = spawn("server", serve(listener, house.router.clone(), cancel.clone()));
        ask(&mut stream, "POST /v1/agents/customer-support/pause").await;
        house.operator.entered.notified().await;
        let stopped = Instant::now();
        cancel.cancel();
        served.await.unwrap().unwrap();
        assert!((DRAIN..DRAIN * 2).contains(&stopped.elapsed()), "{:?}", stopped.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_drips_its_request_loses_its_connection_and_others_are_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let served = spawn("server", serve(listener, House::new().router, cancel.clone()));
        let mut slow = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        let mut drips =
            b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a'));
        let mut byte = [0];
        let cut = loop {
            // A byte each second keeps any time-out between two bytes from being the one that is seen.
            let dripped = slow.write_all(&[*drips.next().unwrap()]).await;
            let heard = tokio::time::timeout(Duration::from_secs(1), slow.read(&mut byte)).await;
            match (dripped, heard) {
                (Ok(()), Err(_)) => assert!(started.elapsed() < HEAD * 2, "it is still served"),
                _ => break started.elapsed(),
            }
        };
        assert!(cut >= HEAD, "cut after {cut:?}");

        let mut quick = TcpStream::connect(address).await.unwrap();
        ask(&mut quick, "GET /health/live").await;
        let mut start = [0; 15];
        quick.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        cancel.cancel();
        served.await.unwrap().unwrap();
    }
}

//! The doors as a whole: what they hold, their router, and the server that runs it.

use std::{future::IntoFuture, io, sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use greenroom_contract::{
    Clock,
    port::{bus::Bus, operator::Operator, state::State},
    tree::Table,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{http, operator, slack, wire::Wires};

/// How long open requests may take once the server was told to stop.
pub const DRAIN: Duration = Duration::from_secs(5);

/// What the doors lead to.
#[derive(Clone)]
pub struct Doors {
    /// The machine.
    pub operator: Arc<dyn Operator>,
    /// The store, for questions.
    pub state: Arc<dyn State>,
    /// This node's supervision tree, for its changes.
    pub table: Table,
    /// The bus, for its queues.
    pub bus: Arc<dyn Bus>,
    /// Wall time, against which Slack's timestamps are held.
    pub clock: Arc<dyn Clock>,
    /// Slack's secrets; `None` makes Slack's routes answer 503 with the remedy.
    pub slack: Option<slack::SlackDoor>,
    /// The bearer token. Without one only a loopback address may be bound, and `Host` and `Origin` are checked.
    pub token: Option<SecretString>,
    /// The program's version.
    pub version: &'static str,
    /// Cancelled when the node stops: callers that wait for an execution are answered at once with how far it is.
    pub closing: CancellationToken,
}

/// The router of every door. It never panics outwards and each of its refusals is a problem (RFC 9457).
pub fn router(doors: Doors) -> Router {
    let doors = Arc::new(doors);
    Router::new()
        .merge(slack::routes())
        .merge(operator::routes())
        .fallback(http::no_such_route)
        .method_not_allowed_fallback(http::wrong_method)
        // The last layer is the outermost one.
        .layer(from_fn_with_state(doors.clone(), http::guard))
        .layer(CatchPanicLayer::custom(http::panicked))
        .layer(from_fn(http::envelope))
        .with_state(doors)
}

/// Serves `router` until `cancel` is cancelled, then takes no more connections and gives open requests [`DRAIN`].
/// Fails only if the listener does.
pub async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> io::Result<()> {
    let listener = Wires { listener, stop: cancel.clone() };
    let drained = axum::serve(listener, router).with_graceful_shutdown(cancel.clone().cancelled_owned()).into_future();
    let cut = async {
        cancel.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = drained => ended,
        () = cut => {
            tracing::warn!(drain_ms = DRAIN.as_millis() as u64, "Requests that were still open have been cut.");
            Ok(())
        }
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
}

//! Socket Mode's side of the fake Slack: the node dials it, and requests go to the node by that connection.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use greenroom_contract::task::{Scoped, spawn_scoped};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::wait;

/// What a connection is told to do.
enum Order {
    Say(String),
    /// Nothing is said any more, not even goodbye.
    Cut,
}

/// One connection that the node has opened.
struct Line {
    orders: mpsc::Sender<Order>,
    acknowledged: Vec<Value>,
    is_open: bool,
}

type Lines = Arc<Mutex<Vec<Line>>>;

/// The connections by which a node is reached, counted from 1 as they came.
pub struct Sockets {
    pub(super) address: SocketAddr,
    lines: Lines,
    _serving: Scoped,
}

impl Sockets {
    pub(super) async fn start() -> Self {
        let lines = Lines::default();
        let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| Ok((l.local_addr()?, l))) {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the fake Slack cannot listen for sockets: {error}"),
        };
        let shared = Arc::clone(&lines);
        let serving = spawn_scoped("kit slack sockets", async move {
            let mut serving = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.push(spawn_scoped("kit slack socket", serve(stream, Arc::clone(&shared))));
            }
        });
        Self { address, lines, _serving: serving }
    }

    /// Waits for the `n`-th connection.
    pub async fn line(&self, n: usize, limit: Duration) {
        wait::seen(&format!("connection {n} to Slack"), limit, async || {
            let lines = lock(&self.lines).len();
            if lines >= n { Ok(()) } else { Err(format!("there are {lines}")) }
        })
        .await;
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> usize {
        lock(&self.lines).len()
    }

    /// Whether the node still holds the `n`-th connection.
    pub fn is_open(&self, n: usize) -> bool {
        lock(&self.lines).get(n - 1).is_some_and(|line| line.is_open)
    }

    /// Sends a request by the `n`-th connection.
    pub fn send(&self, n: usize, kind: &str, envelope_id: &str, payload: Value) {
        let takes_answer = kind != "events_api";
        self.order(n, Order::Say(json!({
            "type": kind, "envelope_id": envelope_id, "payload": payload, "accepts_response_payload": takes_answer,
            "retry_attempt": 0, "retry_reason": "",
        }).to_string()));
    }

    /// Says that the `n`-th connection is to be replaced.
    pub fn refresh(&self, n: usize) {
        self.order(n, Order::Say(json!({"type": "disconnect", "reason": "warning", "debug_info": {}}).to_string()));
    }

    /// Ends the `n`-th connection without a word.
    pub fn cut(&self, n: usize) {
        self.order(n, Order::Cut);
    }

    /// What was acknowledged by the `n`-th connection so far.
    pub fn acknowledged(&self, n: usize) -> Vec<Value> {
        lock(&self.lines).get(n - 1).map(|line| line.acknowledged.clone()).unwrap_or_default()
    }

    /// Waits for the acknowledgement of a request by the `n`-th connection.
    pub async fn acknowledgement(&self, n: usize, envelope_id: &str, limit: Duration) -> Value {
        wait::seen(&format!("{envelope_id} to be acknowledged"), limit, async || {
            let acknowledged = self.acknowledged(n);
            let found = acknowledged.iter().find(|ack| ack["envelope_id"] == envelope_id);
            found.cloned().ok_or_else(|| format!("{acknowledged:?}"))
        })
        .await
    }

    fn order(&self, n: usize, order: Order) {
        let lines = lock(&self.lines);
        let sent = lines.get(n - 1).map(|line| line.orders.try_send(order).is_ok());
        assert_eq!(sent, Some(true), "connection {n} is not there");
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(stream: TcpStream, lines: Lines) {
    let Ok(mut socket) = accept_async(stream).await else { return };
    let hello = json!({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}).to_string();
    if socket.send(Message::text(hello)).await.is_err() {
        return;
    }
    let (orders, mut ordered) = mpsc::channel(64);
    let n = {
        let mut lines = lock(&lines);
        lines.push(Line { orders, acknowledged: Vec::new(), is_open: true });
        lines.len() - 1
    };
    loop {
        tokio::select! {
            order = ordered.recv() => match order {
                Some(Order::Say(text)) => {
                    if socket.send(Message::text(text)).await.is_err() {
                        break;
                    }
                }
                Some(Order::Cut) | None => break,
            },
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    let acknowledged = serde_json::from_str(&text).unwrap_or_default();
                    lock(&lines)[n].acknowledged.push(acknowledged);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    lock(&lines)[n].is_open = false;
}

fn lock(lines: &Mutex<Vec<Line>>) -> MutexGuard<'_, Vec<Line>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

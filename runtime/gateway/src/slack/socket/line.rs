//! One connection: frames come, acknowledgements go, several requests at a time.

use std::{sync::Arc, time::Duration};

use axum::body::to_bytes;
use futures::{SinkExt, StreamExt, stream::FuturesUnordered};
use greenroom_contract::TraceId;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::frame::{Envelope, Frame, acknowledgement, read};
use crate::{
    Doors,
    slack::{
        door::{Asked, carry_out},
        taken::no_retry,
        web::Socket,
    },
};

/// How often the other side is asked whether it is there.
const PING: Duration = Duration::from_secs(10);
/// After so long without a word the connection is dead.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a frame may take to go out.
const SEND: Duration = Duration::from_secs(5);
/// So long a connection that has a successor is still listened to: what Slack had sent to it is acknowledged there.
const GRACE: Duration = Duration::from_secs(15);
/// How long what is under way at the end may take.
const END: Duration = Duration::from_secs(4);
/// Requests at a time; further ones wait with Slack.
const AT_ONCE: usize = 32;
/// An acknowledgement says no more than this.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How a connection is told something, and tells.
#[derive(Clone, Default)]
pub(super) struct Strings {
    /// Another is to be opened: this one ends, or has ended.
    pub(super) another: CancellationToken,
    /// Another is there.
    pub(super) leave: CancellationToken,
    /// Nothing more is read; what is under way is finished.
    pub(super) stop: CancellationToken,
}

/// Serves a connection until it ends.
pub(super) async fn serve(doors: Arc<Doors>, mut socket: Socket, strings: Strings) {
    // However this ends, by a panic too, somebody has to open another.
    let _another = strings.another.clone().drop_guard();
    let mut work = FuturesUnordered::new();
    let (mut heard, mut until) = (Instant::now(), None::<Instant>);
    let mut beat = interval(PING);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let why = loop {
        tokio::select! {
            () = strings.stop.cancelled() => break "the node stops",
            () = strings.leave.cancelled(), if until.is_none() => until = Some(Instant::now() + GRACE),
            () = sleep_until(until.unwrap_or(heard)), if until.is_some() => break "another is there",
            () = sleep_until(heard + SILENCE) => break "Slack was silent",
            Some(told) = work.next(), if !work.is_empty() => {
                let told: Option<String> = told;
                if let Some(told) = told && !send(&mut socket, Message::text(told)).await {
                    break "an acknowledgement could not be sent";
                }
            }
            _ = beat.tick() => if !send(&mut socket, Message::Ping(Default::default())).await {
                break "a sign of life could not be sent";
            },
            frame = socket.next(), if work.len() < AT_ONCE => {
                heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => match read(text.as_str()) {
                        Frame::Hello => {}
                        Frame::Request(envelope) => work.push(answer(Arc::clone(&doors), *envelope)),
                        Frame::Disconnect { why } => {
                            tracing::info!(why, "Slack wants this connection replaced by another.");
                            strings.another.cancel();
                        }
                        Frame::Unknown { id: Some(id) } => {
                            tracing::debug!("A request by the socket that is of no known kind is acknowledged.");
                            if !send(&mut socket, Message::text(acknowledgement(&id, None))).await {
                                break "an acknowledgement could not be sent";
                            }
                        }
                        Frame::Unknown { id: None } => tracing::debug!("A frame of no known kind was left alone."),
                    },
                    Some(Ok(Message::Close(_))) | None => break "Slack closed it",
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "The connection to Slack broke.");
                        break "it broke";
                    }
                }
            }
        }
    };
    tracing::info!(why, "A connection to Slack ends.");
    strings.another.cancel();
    let finish = async {
        while let Some(told) = work.next().await {
            if let Some(told) = told {
                send(&mut socket, Message::text(told)).await;
            }
        }
        socket.close(None).await.ok();
    };
    timeout(END, finish).await.ok();
}

async fn send(socket: &mut Socket, message: Message) -> bool {
    matches!(timeout(SEND, socket.send(message)).await, Ok(Ok(())))
}

/// Takes a request in as the HTTP door does. Returns the acknowledgement; none where Slack is to send it again, or, as
/// with a command, to say that it failed.
pub(super) async fn answer(doors: Arc<Doors>, envelope: Envelope) -> Option<String> {
    let trace_id = TraceId::new();
    let Envelope { id, body, raw, takes_answer, retry } = envelope;
    async {
        let slack = doors.slack.as_ref()?;
        let asked = Asked { doors: &doors, slack, trace_id, stamp: "", raw: &raw, retry, started: Instant::now() };
        let said = match carry_out(asked, &body).await {
            Ok(response) => to_bytes(response.into_body(), ANSWER_LIMIT).await.unwrap_or_default(),
            // It would fail each time that it came.
            Err(problem) if problem.has_header(&no_retry()) => Default::default(),
            Err(_) => return None,
        };
        let said = serde_json::from_slice::<Value>(&said).ok().filter(|_| takes_answer);
        Some(acknowledgement(&id, said))
    }
    .instrument(tracing::info_span!("slack", %trace_id))
    .await
}

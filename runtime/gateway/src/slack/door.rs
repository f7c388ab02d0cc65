//! Station 1: Slack's requests. Verify, classify, publish, and only then acknowledge.
//!
//! Slack waits three seconds and sends an event again (not a command or a click) where the answer is none or an error,
//! so that each answer here says what Slack is to do: 200 taken or nothing to do, 400 with `X-Slack-No-Retry` never
//! again, 503 again.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use greenroom_contract::{Event, ReplyTo, TraceId, port::operator};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    body::{self, Malformed},
    classify::{Caller, Verdict, classify},
    draft::Draft,
    signature,
};
use crate::{
    Doors,
    http::{Problem, Trace, media_type, raw_body},
};

/// Slack gives up after 3 s: what is not published by then is answered with "again".
const PUBLISH_DEADLINE: Duration = Duration::from_millis(2500);

/// What the person is told whose command or click could not be taken in: Slack does not send those again.
const APOLOGY: &str = "Sorry, I could not take that in just now. Please try again in a minute.";

/// What Slack's door needs to know.
#[derive(Clone)]
pub struct SlackDoor {
    secrets: Vec<SecretString>,
}

impl SlackDoor {
    /// A door that takes requests signed with any of `secrets`. `None` where there is none that is not blank: with an
    /// empty secret anybody could sign.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>) -> Option<Self> {
        let usable = |secret: &SecretString| !secret.expose_secret().trim().is_empty();
        let secrets: Vec<SecretString> = secrets.into_iter().filter(usable).collect();
        if secrets.is_empty() { None } else { Some(Self { secrets }) }
    }
}

pub(crate) fn routes() -> Router<Arc<Doors>> {
    // One handler: what a request is stands in its body, whichever of the three addresses Slack was given.
    Router::new()
        .route("/slack/events", post(receive))
        .route("/slack/commands", post(receive))
        .route("/slack/interactions", post(receive))
}

async fn receive(
    State(doors): State<Arc<Doors>>,
    Trace(trace_id): Trace,
    request: Request,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let Some(slack) = &doors.slack else { return Err(not_configured()) };
    let headers = request.headers().clone();
    let media = media_type(&headers);
    let raw = raw_body(request).await?;
    if body::is_ssl_check(media.as_deref(), &raw) {
        return Ok(StatusCode::OK.into_response());
    }
    if let Err(refusal) = signature::verify(&slack.secrets, &headers, &raw, doors.clock.now()) {
        tracing::warn!(reason = refusal.as_str(), "A request to Slack's door was refused.");
        return Err(unsigned());
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let verdict = body::parse(media.as_deref(), &raw)
        .and_then(|body| classify(&body, text("x-slack-request-timestamp"), &raw))
        .map_err(malformed)?;
    let retry = text("x-slack-retry-num").parse::<u8>().ok();
    match verdict {
        Verdict::Challenge(challenge) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], challenge).into_response()),
        Verdict::Ignore { kind, why } => {
            tracing::debug!(kind, why, "A Slack request needed nothing done.");
            Ok(StatusCode::OK.into_response())
        }
        Verdict::RateLimited { team } => {
            tracing::warn!(slack.team = team, "Slack holds events back: more than its limit of 30,000 in an hour.");
            Ok(StatusCode::OK.into_response())
        }
        Verdict::Take { kind, caller, drafts } => {
            let taken = Taken { kind: &kind, retry, started };
            let deadline = started + PUBLISH_DEADLINE;
            match tokio::time::timeout_at(deadline, taken.publish(&doors, drafts, trace_id)).await {
                Ok(Ok(())) => Ok(StatusCode::OK.into_response()),
                Ok(Err(error)) => taken.refuse(caller, error),
                Err(_) => taken
                    .refuse(caller, operator::Error::Unavailable { why: "the store did not answer in time".into() }),
            }
        }
    }
}

struct Taken<'a> {
    kind: &'a str,
    retry: Option<u8>,
    started: Instant,
}

impl Taken<'_> {
    async fn publish(&self, doors: &Doors, drafts: Vec<Draft>, trace_id: TraceId) -> Result<(), operator::Error> {
        for draft in drafts {
            let event = event(doors, draft, trace_id);
            let (topic, event_id) = (event.event_type.clone(), event.event_id);
            match doors.operator.publish(event).await {
                Ok(()) => tracing::info!(
                    kind = self.kind,
                    topic,
                    %event_id,
                    slack.retry = self.retry,
                    duration_ms = self.started.elapsed().as_millis() as u64,
                    "Slack request taken in"
                ),
                // The same words under the same topic are in already, as Slack told of them the first time.
                Err(operator::Error::Conflict { .. }) => {
                    tracing::info!(kind = self.kind, topic, %event_id, "A Slack request was taken in before.");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn refuse(&self, caller: Caller, error: operator::Error) -> Result<Response, Problem> {
        let again = matches!(error, operator::Error::Unavailable { .. });
        let duration_ms = self.started.elapsed().as_millis() as u64;
        tracing::error!(%error, kind = self.kind, duration_ms, "A Slack request could not be taken in.");
        match caller {
            Caller::Retries if again => Err(error.into()),
            Caller::Retries => Err(Problem::from(error).header(no_retry(), HeaderValue::from_static("1"))),
            Caller::Person => Ok(Json(json!({ "response_type": "ephemeral", "text": APOLOGY })).into_response()),
            Caller::Form { block: Some(block) } => {
                let errors = serde_json::Map::from_iter([(block, Value::from(APOLOGY))]);
                Ok(Json(json!({ "response_action": "errors", "errors": errors })).into_response())
            }
            // A form without inputs has no place for a text: an error makes Slack keep it open and say so itself.
            Caller::Form { block: None } => Err(error.into()),
        }
    }
}

fn event(doors: &Doors, draft: Draft, trace_id: TraceId) -> Event {
    let mut event = Event::new(draft.topic, "slack", trace_id, draft.payload);
    event.event_id = draft.id;
    event.timestamp = doors.clock.now();
    event.correlation_id = draft.correlation;
    event.conversation = draft.conversation;
    // An answer needs an address or a channel; a global shortcut has neither.
    let reachable = draft.reply.response_url.is_some() || draft.reply.channel_id.is_some();
    event.reply_to = reachable.then_some(ReplyTo::Slack(draft.reply));
    event
}

fn not_configured() -> Problem {
    let detail = "Slack is not configured on this node: it needs SLACK_SIGNING_SECRET and the role gateway";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "slack_not_configured", "Slack is not configured", detail)
        .retry_after(60)
}

fn unsigned() -> Problem {
    let detail = "the request is not signed as Slack signs it";
    Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", "Not authorised", detail)
}

fn malformed(error: Malformed) -> Problem {
    tracing::warn!(reason = error.0, "A signed Slack request cannot be understood.");
    Problem::bad_request("malformed", error.0).header(no_retry(), HeaderValue::from_static("1"))
}

fn no_retry() -> HeaderName {
    HeaderName::from_static("x-slack-no-retry")
}

//! Station 1: Slack's requests. Verify, classify, publish, and only then acknowledge.
//!
//! Slack waits three seconds and sends an event again (not a command or a click) where the answer is none or an error,
//! so that each answer here says what Slack is to do: 200 taken or nothing to do, 400 with `X-Slack-No-Retry` never
//! again, 503 again.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use greenroom_contract::TraceId;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    access::SlackRules,
    ask::Answering,
    body::{self, Body, Malformed},
    classify::{Verdict, classify},
    loops::Loops,
    signature,
    taken::{Taken, no_retry},
    web::SlackWeb,
};
use crate::{
    Doors,
    http::{Problem, Trace, media_type, raw_body},
};

/// Slack gives up after 3 s: what is not published by then is answered with "again".
const PUBLISH_DEADLINE: Duration = Duration::from_millis(2500);

/// What Slack's door needs to know.
#[derive(Debug, Clone)]
pub struct SlackDoor {
    secrets: Vec<SecretString>,
    pub(super) rules: SlackRules,
    pub(super) web: Arc<SlackWeb>,
    pub(super) loops: Arc<Loops>,
}

impl SlackDoor {
    /// A door that takes requests signed with any of `secrets`. `None` where there is none that is not blank: with an
    /// empty secret anybody could sign.
    pub fn new(secrets: impl IntoIterator<Item = SecretString>, rules: SlackRules, web: Arc<SlackWeb>) -> Option<Self> {
        let usable = |secret: &SecretString| !secret.expose_secret().trim().is_empty();
        let secrets: Vec<SecretString> = secrets.into_iter().filter(usable).collect();
        let door = Self { secrets, ..Self::without_secrets(rules, web) };
        if door.secrets.is_empty() { None } else { Some(door) }
    }

    /// A door that is shut to requests by HTTP, for a node that is reached by Socket Mode alone.
    pub fn without_secrets(rules: SlackRules, web: Arc<SlackWeb>) -> Self {
        Self { secrets: Vec::new(), rules, web, loops: Arc::default() }
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
    let Some(slack) = doors.slack.as_ref().filter(|slack| !slack.secrets.is_empty()) else {
        return Err(not_configured());
    };
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
    let body = body::parse(media.as_deref(), &raw).map_err(malformed)?;
    let stamp = text("x-slack-request-timestamp");
    let retry = text("x-slack-retry-num").parse().ok();
    carry_out(Asked { doors: &doors, slack, trace_id, stamp, raw: &raw, retry, started }, &body).await
}

/// A request that is from Slack, by whichever way it came.
pub(super) struct Asked<'a> {
    pub(super) doors: &'a Doors,
    pub(super) slack: &'a SlackDoor,
    pub(super) trace_id: TraceId,
    /// When Slack signed it, where it did, and its bytes: an id is made of them where a request carries none.
    pub(super) stamp: &'a str,
    pub(super) raw: &'a [u8],
    /// Which of Slack's retries it is.
    pub(super) retry: Option<u8>,
    pub(super) started: Instant,
}

/// Does what the request wants. When this returns well, it is durable.
pub(super) async fn carry_out(asked: Asked<'_>, body: &Body) -> Result<Response, Problem> {
    let Asked { doors, slack, trace_id, stamp, raw, retry, started } = asked;
    let verdict = classify(body, stamp, raw, &slack.rules).map_err(malformed)?;
    let deadline = started + PUBLISH_DEADLINE;
    let taken = |kind| Taken { doors, slack, trace_id, kind, retry, started, deadline };
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
        Verdict::Answer(click) => {
            Answering { doors, slack, trace_id }.take(*click, deadline).await;
            Ok(StatusCode::OK.into_response())
        }
        Verdict::Stop { stop, draft } => taken("agent_session_stopped").stop(&stop, *draft).await,
        Verdict::Take { kind, caller, drafts } => taken(&kind).events(caller, drafts).await,
    }
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

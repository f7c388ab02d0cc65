//! The doors as a whole: what they hold, and their router.

use std::sync::Arc;

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
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{http, operator, slack};

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

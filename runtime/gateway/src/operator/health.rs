//! `/health`: how the node is, for people and for probes.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use greenroom_contract::port::operator::{ComponentHealth, Health, HealthStatus};
use serde_json::{Value, json};

use crate::{
    Doors,
    http::{Params, Problem},
};

/// Probes give up after a few seconds: an answer that says "slow" must be quicker than that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Every component with its reason; 503 when the node as a whole is down.
pub(super) async fn all(State(doors): State<Arc<Doors>>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    let health = ask(&doors).await;
    let served = health.status != HealthStatus::Down;
    Ok(answer(served, &health))
}

/// Whether the process turns. It asks nothing: a store that is down is no reason to kill the process.
pub(super) async fn live(params: Params) -> Result<Json<Value>, Problem> {
    params.only(&[])?;
    Ok(Json(json!({ "status": "ok" })))
}

/// Whether the node takes work in; 503 when not, with the reasons.
pub(super) async fn ready(State(doors): State<Arc<Doors>>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    let health = ask(&doors).await;
    Ok(answer(health.ready, &health))
}

async fn ask(doors: &Doors) -> Health {
    let unheard = |_| Health {
        status: HealthStatus::Down,
        ready: false,
        components: vec![ComponentHealth {
            component: "node".to_owned(),
            status: HealthStatus::Down,
            reason: Some(format!("the health check did not end within {} s", PATIENCE.as_secs())),
        }],
    };
    tokio::time::timeout(PATIENCE, doors.operator.health()).await.unwrap_or_else(unheard)
}

fn answer(served: bool, health: &Health) -> Response {
    let mut response = Json(health).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !served {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

//! Paths that the API promises and that a later step builds. Until then they say so, instead of 404.

use std::sync::Arc;

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    routing::{MethodFilter, on},
};

use crate::{Doors, http::Problem};

/// Each with the methods that it will take.
const LATER: &[(MethodFilter, &str)] = &[
    (MethodFilter::GET, "/"),
    (MethodFilter::GET, "/openapi.json"),
    (MethodFilter::GET, "/v1/executions/{id}/stream"),
    (MethodFilter::POST, "/v1/executions/{id}/retry"),
    (MethodFilter::GET, "/v1/events"),
];

pub(super) fn routes() -> Router<Arc<Doors>> {
    LATER.iter().fold(Router::new(), |router, (methods, path)| router.route(path, on(*methods, not_built)))
}

async fn not_built(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} {} is part of the API and not built yet; it comes with a later version", uri.path());
    Problem::new(StatusCode::NOT_IMPLEMENTED, "not_built", "Not built yet", detail)
}

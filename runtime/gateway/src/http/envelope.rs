//! The outermost layer: each request gets its trace id, its span, its log line, and each refusal its body.

use std::{any::Any, sync::LazyLock};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use greenroom_contract::TraceId;
use tokio::time::Instant;
use tracing::Instrument;

use super::Problem;

static TRACE_HEADER: LazyLock<HeaderName> = LazyLock::new(|| HeaderName::from_static("x-trace-id"));

/// The trace id of this request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace(pub(crate) TraceId);

impl<S: Sync> FromRequestParts<S> for Trace {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // The envelope is outside of every route; a new id stands in where a test leaves it out.
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_else(|| Self(TraceId::new())))
    }
}

/// Gives the request its trace id and span, and the answer its `X-Trace-Id`; writes refusals out and logs the request.
pub(crate) async fn envelope(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let trace_id = trace_of(request.headers());
    request.extensions_mut().insert(Trace(trace_id));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|matched| matched.as_str().to_owned());
    let from_slack = path.starts_with("/slack/");
    let span =
        if from_slack { tracing::info_span!("slack", %trace_id) } else { tracing::info_span!("http", %trace_id) };

    async {
        let mut response = next.run(request).await;
        let mut code = None;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            code = Some(problem.code);
            let allow = response.headers_mut().remove("allow");
            response = problem.render(&path, trace_id);
            if let Some(allow) = allow {
                response.headers_mut().insert("allow", allow);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&trace_id.to_string()) {
            response.headers_mut().insert(TRACE_HEADER.clone(), value);
        }
        let line = Answered {
            method: &method,
            route: route.as_deref().unwrap_or("none"),
            path: &path,
            status: response.status(),
            code,
            duration_ms: started.elapsed().as_millis() as u64,
        };
        // Reading is routine, and Slack's door has a line of its own.
        let routine = from_slack || matches!(method, Method::GET | Method::HEAD);
        line.emit(routine);
        response
    }
    .instrument(span)
    .await
}

struct Answered<'a> {
    method: &'a Method,
    route: &'a str,
    path: &'a str,
    status: StatusCode,
    code: Option<&'static str>,
    duration_ms: u64,
}

impl Answered<'_> {
    fn emit(&self, routine: bool) {
        macro_rules! line {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    http.method = %self.method,
                    http.route = self.route,
                    http.path = self.path,
                    http.status = self.status.as_u16(),
                    problem = self.code,
                    duration_ms = self.duration_ms,
                    $text
                )
            };
        }
        // 501 is a stated absence, not a fault.
        if self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED {
            line!(warn, "A request could not be served.");
        } else if routine {
            line!(debug, "A request was answered.");
        } else {
            line!(info, "A request was answered.");
        }
    }
}

/// The caller's trace id, from `traceparent` or `X-Trace-Id`; one that is not valid is ignored and a new one made.
fn trace_of(headers: &HeaderMap) -> TraceId {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("traceparent")
        .and_then(TraceId::from_traceparent)
        .or_else(|| text("x-trace-id").and_then(|value| value.trim().parse().ok()))
        .unwrap_or_else(TraceId::new)
}

/// 404 for a path that no door has.
pub(crate) async fn no_such_route(method: Method, uri: Uri) -> Problem {
    let detail = format!("there is no {method} {}; the paths begin with /v1, /health or /slack", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", "No such path", detail)
}

/// 405; the router adds `Allow`.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}; the header Allow names what it takes", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", "Wrong method", detail)
}

/// 500 for a handler that panicked. The panic's own text goes to the log only.
pub(crate) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned());
    tracing::error!(error = text, "A request handler panicked.");
    let detail = "a fault in Greenroom; the log has its cause under this trace id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault in Greenroom", detail).into_response()
}

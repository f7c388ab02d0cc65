//! A refusal, as RFC 9457 has it. Handlers return it; the envelope writes the body, because it knows path and trace.

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use greenroom_contract::{
    TraceId,
    port::{bus, operator, state},
};
use serde::Serialize;

/// Where in the request a mistake is.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Place {
    /// What is wrong there.
    pub(crate) detail: String,
    /// A JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// A query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// A header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<&'static str>,
    /// A line of the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// A column of that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
}

/// A refusal on its way to the envelope.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    title: &'static str,
    detail: String,
    errors: Vec<Place>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    trace_id: TraceId,
    #[serde(skip_serializing_if = "<[Place]>::is_empty")]
    errors: &'a [Place],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// 400: the request cannot be read.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be read", detail)
    }

    /// 422: the request can be read and makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request makes no sense", detail)
    }

    /// 422 about one value of the body.
    pub(crate) fn invalid_at(pointer: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let place = Place { pointer: Some(pointer.to_owned()), detail: detail.clone(), ..Place::default() };
        Self::invalid(format!("{pointer}: {detail}")).at(place)
    }

    /// 409: it is understood, and not possible as things are.
    pub(crate) fn conflict(why: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Not possible as things are", why)
    }

    /// 404.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", format!("{what} does not exist"))
    }

    /// 503: nothing was promised, and another try may help.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail).retry_after(5)
    }

    /// Whether the answer will have this header.
    pub(crate) fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(found, _)| found == name)
    }

    /// Adds a place.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.errors.push(place);
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The whole answer.
    pub(crate) fn render(&self, instance: &str, trace_id: TraceId) -> Response {
        let body = Body {
            r#type: format!("urn:greenroom:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
            code: self.code,
            trace_id,
            errors: &self.errors,
        };
        // Every field serialises: there are no maps and no floats.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<operator::Error> for Problem {
    fn from(error: operator::Error) -> Self {
        match error {
            operator::Error::NotFound { what } => Self::not_found(what),
            operator::Error::Conflict { why } => Self::conflict(why),
            operator::Error::Forbidden { why } => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "You may not do this", why)
            }
            operator::Error::Invalid { why } => Self::invalid(why),
            operator::Error::Unavailable { why } => Self::unavailable(why),
            operator::Error::Unanswered { why } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "unanswered", "No answer from another node", why)
            }
        }
    }
}

impl From<state::Error> for Problem {
    fn from(error: state::Error) -> Self {
        match error {
            // Damage does not mend itself: unlike a store that is down, another try will not help.
            state::Error::Corrupt { .. } => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "corrupt",
                "Something stored is damaged",
                error.to_string(),
            ),
            other => operator::Error::from(other).into(),
        }
    }
}

impl From<bus::Error> for Problem {
    fn from(error: bus::Error) -> Self {
        match error {
            bus::Error::UnknownQueue { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "Not found", error.to_string())
            }
            bus::Error::Unroutable { .. } | bus::Error::Unavailable { .. } | bus::Error::Stale => {
                Self::unavailable(error.to_string())
            }
        }
    }
}

//! Reading requests: bodies, query parameters, ids. Each mistake is named with its place.

use std::{fmt::Display, str::FromStr, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use greenroom_contract::page::PageRequest;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Place, Problem};

/// The largest body that is read.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// How much more of a body that is too large is read, only to be dropped.
const DRAIN_LIMIT: usize = 16 * BODY_LIMIT;
/// How long a caller may take to send it, and for a body of more than that.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
const LARGE_BODY_DEADLINE: Duration = Duration::from_secs(60);

/// The body as it came.
pub(crate) async fn raw_body(request: Request) -> Result<Bytes, Problem> {
    body_within(request, BODY_LIMIT).await
}

async fn body_within(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let deadline = if limit > BODY_LIMIT { LARGE_BODY_DEADLINE } else { BODY_DEADLINE };
    match tokio::time::timeout(deadline, limited(request.into_body(), limit)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The body is too large",
            format!("a body may have {limit} bytes"),
        )),
        Ok(Err(_)) => Err(Problem::bad_request("broken_body", "the body ended before it was whole")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            "The body took too long",
            format!("the body did not arrive within {} s", deadline.as_secs()),
        )),
    }
}

/// The body, or `None` if it is too large. What is too much is read and dropped up to a bound: a caller that is still
/// sending when the connection closes would see a reset instead of the answer.
async fn limited(body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut stream = body.into_data_stream();
    let mut kept = BytesMut::new();
    let mut seen = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        seen += chunk.len();
        if seen <= limit {
            kept.extend_from_slice(&chunk);
        } else if seen > limit.max(DRAIN_LIMIT) {
            break;
        }
    }
    Ok((seen <= limit).then(|| kept.freeze()))
}

/// The media type, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
}

/// A JSON body: 400 where it is not JSON, 415 where it does not say so, 422 where it is JSON of another shape.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        large_json(request, BODY_LIMIT).await.map(Self)
    }
}

/// A [`JsonBody`] of at most so many bytes.
pub(crate) async fn large_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    let media = media_type(request.headers());
    let body = body_within(request, limit).await?;
    if !media.as_deref().is_some_and(|media| media == "application/json" || media.ends_with("+json")) {
        let found = media.unwrap_or_else(|| "none".to_owned());
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            "The body is not JSON",
            format!("send Content-Type: application/json (found: {found})"),
        )
        .at(Place {
            header: Some("Content-Type"),
            detail: "application/json is needed".into(),
            ..Place::default()
        }));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::bad_request("bad_json", "the body is empty; a JSON object is needed"));
    }
    serde_json::from_slice(&body).map_err(|error| json_problem(&error))
}

fn json_problem(error: &serde_json::Error) -> Problem {
    let place =
        Place { detail: error.to_string(), line: Some(error.line()), column: Some(error.column()), ..Place::default() };
    let detail = format!("the body: {error}");
    match error.classify() {
        Category::Data => Problem::invalid(detail).at(place),
        Category::Io | Category::Syntax | Category::Eof => Problem::bad_request("bad_json", detail).at(place),
    }
}

/// The query, as pairs. A route first says which names it knows; any other is a mistake, never ignored.
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

impl Params {
    /// Refuses names that are not `known`.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self, Problem> {
        let Some((stranger, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) else {
            return Ok(self);
        };
        let names =
            if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
        Err(bad_parameter(stranger, format!("is not a parameter of this path; {names}")))
    }

    /// One value; an empty one counts as absent, two are a mistake.
    pub(crate) fn one<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        let mut values = self.values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(bad_parameter(name, "is given more than once".to_owned()));
        }
        parse(name, value).map(Some)
    }

    /// Any number of values, each given by itself or several with commas between them.
    pub(crate) fn many<T>(&self, name: &str) -> Result<Vec<T>, Problem>
    where
        T: FromStr<Err: Display>,
    {
        self.values(name)
            .flat_map(|value| value.split(','))
            .filter(|value| !value.is_empty())
            .map(|value| parse(name, value))
            .collect()
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(&self) -> Result<PageRequest, Problem> {
        let default = PageRequest::default();
        let limit = self.one::<u32>("limit")?.unwrap_or(default.limit);
        if !(1..=500).contains(&limit) {
            return Err(bad_parameter("limit", format!("is {limit}; 1 to 500 are possible")));
        }
        Ok(PageRequest { limit, cursor: self.one("cursor")? })
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, value)| found == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

fn parse<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|error: T::Err| bad_parameter(name, error.to_string()))
}

pub(super) fn bad_parameter(name: &str, detail: String) -> Problem {
    let place = Place { parameter: Some(name.to_owned()), detail: detail.clone(), ..Place::default() };
    Problem::bad_request("bad_parameter", format!("query parameter {name:?}: {detail}")).at(place)
}

/// The id in the path: 400 where it is not one.
pub(crate) struct Id<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr<Err: Display>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::bad_request("bad_id", detail);
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|rejection| bad(rejection.body_text()))?;
        text.parse().map(Self).map_err(|error: T::Err| bad(error.to_string()))
    }
}

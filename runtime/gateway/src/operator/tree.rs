//! `GET /v1/tree`: the supervision tree, as JSON for programs, as text or a diagram for people.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};

use greenroom_contract::port::operator::Scope;

use crate::{
    Doors,
    http::{Params, Problem},
    tree::{Filter, filter, mermaid, text},
};

enum Format {
    Json,
    Text,
    Mermaid,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            "mermaid" => Ok(Self::Mermaid),
            other => Err(format!("{other:?} is not a format; expected one of json text mermaid")),
        }
    }
}

/// How much of the tree: every node's branch, or this node's.
pub(super) struct Wanted(pub(super) Scope);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "cluster" => Ok(Self(Scope::Cluster)),
            "node" => Ok(Self(Scope::Node)),
            other => Err(format!("{other:?} is not a scope; expected one of cluster node")),
        }
    }
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = params.only(&["scope", "format", "status", "kind", "q", "depth"])?;
    let Wanted(scope) = params.one("scope")?.unwrap_or(Wanted(Scope::Cluster));
    let format = params.one("format")?.unwrap_or(Format::Json);
    let wanted = Filter {
        status: params.many("status")?,
        kinds: params.many("kind")?,
        text: params.one::<String>("q")?,
        depth: params.one("depth")?,
    };
    // Counted before the tree is read: a write between the two makes the tag old, never the tree.
    let tag = format!("W/\"{}\"", doors.operator.tree_writes());
    if matches!(format, Format::Json) && has_it(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response());
    }
    if matches!(format, Format::Json) && wanted == Filter::default() {
        let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        return Ok((json, [(ETAG, tag)], doors.operator.tree_json(scope)).into_response());
    }
    let tree = filter(doors.operator.tree(scope), &wanted);
    let now = doors.clock.now();
    let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok(match format {
        Format::Json => ([(ETAG, tag)], Json(tree)).into_response(),
        Format::Text => (plain, text(&tree, now)).into_response(),
        Format::Mermaid => (plain, mermaid(&tree, now)).into_response(),
    })
}

/// Whether the caller has the tree that this tag stands for. The tag is weak: times that only grow are not in it.
fn has_it(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|given| given.trim() == tag)
}

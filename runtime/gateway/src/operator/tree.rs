//! `GET /v1/tree`: the supervision tree, as JSON for programs, as text or a diagram for people.

use std::{str::FromStr, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

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

/// One machine knows one tree for now, so that both scopes show the same; the cluster's comes with its transport.
struct Scope;

impl FromStr for Scope {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "cluster" | "node" => Ok(Self),
            other => Err(format!("{other:?} is not a scope; expected one of cluster node")),
        }
    }
}

pub(super) async fn show(State(doors): State<Arc<Doors>>, params: Params) -> Result<Response, Problem> {
    let params = params.only(&["scope", "format", "status", "q"])?;
    params.one::<Scope>("scope")?;
    let format = params.one("format")?.unwrap_or(Format::Json);
    let wanted = Filter { status: params.many("status")?, text: params.one::<String>("q")? };
    let tree = filter(doors.operator.tree(), &wanted);
    let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok(match format {
        Format::Json => Json(tree).into_response(),
        Format::Text => (plain, text(&tree, doors.clock.now())).into_response(),
        Format::Mermaid => (plain, mermaid(&tree)).into_response(),
    })
}

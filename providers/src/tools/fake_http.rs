//! A tool server that is reached over HTTP, and the authorization server beside it, for tests.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use greenroom_contract::task;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it asks of its callers, and what it has seen.
#[derive(Default)]
pub(super) struct Fake {
    /// A header that must be there, with its value.
    pub(super) wants: Option<(&'static str, String)>,
    /// Whether it keeps sessions.
    pub(super) sessions: bool,
    /// Whether it says 400 of a session that it does not know, as the official examples do, and not 404.
    pub(super) vague: bool,
    /// Whether it wants a token that its own authorization server gave, for so many seconds.
    pub(super) tokens_for: Option<f64>,
    /// Whether it repeats what it was sent in an error, as careless servers do.
    pub(super) leaks: bool,
    /// What its metadata say in place of the truth.
    pub(super) says: Option<(&'static str, Value)>,
    pub(super) seen: Mutex<Seen>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) sessions: HashSet<String>,
    pub(super) begun: u32,
    pub(super) calls: u32,
    pub(super) tokens: Vec<String>,
    /// The bodies and authorizations that tokens were asked for with.
    pub(super) asked_for_tokens: Vec<(String, String)>,
}

/// A running one.
pub(super) struct Running {
    pub(super) fake: Arc<Fake>,
    pub(super) origin: String,
    pub(super) url: String,
    _server: task::Scoped,
}

impl Fake {
    pub(super) async fn start(self) -> Running {
        self.start_on(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn start_on(self, listener: TcpListener) -> Running {
        let fake = Arc::new(self);
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/mcp", post(answer))
            .route("/.well-known/oauth-protected-resource/mcp", get(resource))
            .route("/.well-known/oauth-authorization-server", get(issuer))
            .route("/token", post(token))
            .with_state((Arc::clone(&fake), origin.clone()));
        let server = task::spawn_scoped("fake-mcp", async move { axum::serve(listener, router).await.unwrap() });
        Running { fake, url: format!("{origin}/mcp"), origin, _server: server }
    }

    fn metadata(&self, mut true_ones: Value) -> Json<Value> {
        if let Some((name, said)) = &self.says
            && true_ones.get(name).is_some()
        {
            true_ones[name] = said.clone();
        }
        Json(true_ones)
    }
}

type Shared = State<(Arc<Fake>, String)>;

/// The least that streamable HTTP asks of a server of 2025-11-25.
async fn answer(State((fake, _)): Shared, headers: HeaderMap, Json(message): Json<Value>) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut seen = fake.seen.lock().unwrap();
    let token = header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let refused = fake.wants.as_ref().is_some_and(|(name, value)| header(name) != *value)
        || (fake.tokens_for.is_some() && seen.tokens.last() != Some(&token));
    if refused {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response();
    }
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let method = message["method"].as_str().unwrap();
    if fake.sessions && method != "initialize" && !seen.sessions.contains(&header("mcp-session-id")) {
        return match method {
            "server/discover" => StatusCode::BAD_REQUEST.into_response(),
            _ if fake.vague => {
                let error = json!({ "code": -32000, "message": "Bad Request: No valid session ID provided" });
                (StatusCode::BAD_REQUEST, Json(json!({ "jsonrpc": "2.0", "error": error }))).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let error =
        |code: i32, text: String| json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } });
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "h", "version": "1" }
        }),
        "tools/list" => json!({ "tools": [{ "name": "hello", "inputSchema": { "type": "object" } }] }),
        "tools/call" if fake.leaks => {
            return Json(error(-32603, format!("I was sent {headers:?}"))).into_response();
        }
        "tools/call" => {
            seen.calls += 1;
            json!({ "content": [{ "type": "text", "text": "hello from afar" }] })
        }
        other => return Json(error(-32601, format!("there is no method {other}"))).into_response(),
    };
    let result = Json(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    if fake.sessions && method == "initialize" {
        seen.begun += 1;
        let session = format!("session-{}", seen.begun);
        seen.sessions.insert(session.clone());
        return ([("mcp-session-id", session)], result).into_response();
    }
    result.into_response()
}

async fn resource(State((fake, origin)): Shared) -> Json<Value> {
    fake.metadata(json!({ "resource": format!("{origin}/mcp"), "authorization_servers": [origin] }))
}

async fn issuer(State((fake, origin)): Shared) -> Json<Value> {
    fake.metadata(json!({ "issuer": origin, "token_endpoint": format!("{origin}/token") }))
}

async fn token(State((fake, _)): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut seen = fake.seen.lock().unwrap();
    let authorization = headers["authorization"].to_str().unwrap().to_owned();
    seen.asked_for_tokens.push((String::from_utf8(body.to_vec()).unwrap(), authorization));
    let Some(seconds) = fake.tokens_for else {
        let refusal = json!({ "error": "invalid_client", "error_description": format!("not with {headers:?}") });
        return (StatusCode::UNAUTHORIZED, Json(refusal)).into_response();
    };
    let token = format!("canary-token-{}", seen.tokens.len() + 1);
    seen.tokens.push(token.clone());
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds })).into_response()
}

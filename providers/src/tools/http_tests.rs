//! A tool server that runs somewhere else and is reached over HTTP.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use greenroom_contract::{port::tool::Error, task};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tests::{call, names, said, try_open, until};

/// The least that streamable HTTP asks of a server of 2025-11-25 that wants a bearer token.
async fn answer(headers: HeaderMap, Json(message): Json<Value>) -> Response {
    if headers.get("authorization").is_none_or(|sent| sent != "Bearer t-1") {
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response();
    }
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let result = match message["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "h", "version": "1" }
        }),
        "tools/list" => json!({ "tools": [{ "name": "hello", "inputSchema": { "type": "object" } }] }),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "hello from afar" }] }),
        other => {
            let error = json!({ "code": -32601, "message": format!("there is no method {other}") });
            return Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

fn serve(listener: TcpListener) -> task::Scoped {
    let router = Router::new().route("/mcp", post(answer));
    task::spawn_scoped("fake-mcp", async move { axum::serve(listener, router).await.unwrap() })
}

#[tokio::test]
async fn a_server_over_http_is_used_with_its_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let _server = serve(listener);
    let tools = json!([{ "mcp": { "url": url, "auth": { "bearer_env": "TOKEN" }, "start_timeout": "5s" } }]);
    let set = try_open(tools.clone(), &[("TOKEN", "t-1")]).await.unwrap();
    assert_eq!(names(&set), ["hello"]);
    assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
    set.close().await;

    let unusable = try_open(tools, &[("TOKEN", "t-wrong")]).await.err().unwrap();
    assert!(unusable.reason.contains("127_0_0_1") && !unusable.to_string().contains("t-wrong"), "{unusable}");
}

#[tokio::test]
async fn a_server_that_has_gone_was_not_called_and_comes_back() {
    // In a runtime of its own, so that its connections die with it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime.spawn(async move { drop(serve_forever(listener).await) });
    let url = format!("http://{address}/mcp");
    let tools = json!([{ "mcp": { "url": url, "auth": { "bearer_env": "TOKEN" }, "start_timeout": "5s" } }]);
    let set = try_open(tools, &[("TOKEN", "t-1")]).await.unwrap();

    first.abort();
    runtime.shutdown_background();
    until("nobody listens any more", || std::net::TcpStream::connect(address).is_err()).await;
    let gone = set.call(call("hello", json!({}))).await.unwrap_err();
    assert!(matches!(gone, Error::Unavailable { .. }), "{gone}");
    until("the set says that it is degraded", || !set.degraded().is_empty()).await;
    assert!(set.degraded()[0].contains("refused"), "{:?}", set.degraded());
    assert!(set.list().is_empty());

    let _server = serve(TcpListener::bind(address).await.unwrap());
    until("the server is back", || set.degraded().is_empty()).await;
    assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
    set.close().await;
}

async fn serve_forever(listener: std::net::TcpListener) -> task::Scoped {
    let server = serve(TcpListener::from_std(listener).unwrap());
    std::future::pending::<()>().await;
    server
}

//! `http_fetch` against a server on this machine.

use axum::{
    Router,
    http::{HeaderMap, StatusCode},
    response::Redirect,
    routing::get,
};
use greenroom_contract::task;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::tests::{call, said, try_open};

struct Web {
    port: u16,
    _server: task::Scoped,
}

async fn web() -> Web {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new()
        .route("/page", get(|| async { ([("content-type", "text/plain")], "p".repeat(300)) }))
        .route("/headers", get(|headers: HeaderMap| async move { format!("{headers:?}") }))
        .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "not here") }))
        .route("/near", get(|| async { Redirect::temporary("/page?secret=1") }))
        .route("/far", get(move || async move { Redirect::temporary(&format!("http://localhost:{port}/page")) }))
        .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
        .route("/round", get(|| async { Redirect::temporary("/round") }))
        .route("/mute", get(std::future::pending::<StatusCode>));
    let server = task::spawn_scoped("fake-web", async move { axum::serve(listener, router).await.unwrap() });
    Web { port, _server: server }
}

fn tool(more: Value) -> Value {
    let mut tool = json!({ "builtin": "http_fetch", "hosts": ["127.0.0.1"], "private_addresses": true });
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([tool])
}

async fn refused(tools: Value, url: &str) -> String {
    let set = try_open(tools, &[]).await.unwrap();
    let answer = set.call(call("http_fetch", json!({ "url": url }))).await.unwrap();
    assert!(answer.is_error, "{url} was read: {}", answer.content);
    answer.content
}

#[tokio::test]
async fn a_page_is_read_in_measure_and_without_credentials() {
    let web = web().await;
    let url = |path: &str| json!({ "url": format!("http://127.0.0.1:{}{path}", web.port) });
    let set = try_open(tool(json!({ "max_bytes": 200 })), &[]).await.unwrap();
    let page = said(&set, "http_fetch", url("/page")).await;
    let head = format!("200 OK, text/plain from http://127.0.0.1:{}/page\n\n", web.port);
    assert_eq!(page, format!("{head}{}\n[cut here, after 200 bytes]", "p".repeat(200)));
    assert_eq!(said(&set, "http_fetch", url("/near")).await, page, "a redirect is followed, and its query is not told");
    let headers = said(&set, "http_fetch", url("/headers")).await;
    assert!(!headers.contains("authorization") && !headers.contains("cookie"), "{headers}");
    let missing = set.call(call("http_fetch", url("/missing"))).await.unwrap();
    assert!(missing.is_error && missing.content.contains("404") && missing.content.contains("not here"));
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_are_written() {
    let port = web().await.port;
    let hosts = json!({ "hosts": ["*"], "private_addresses": false });
    // By name, as written, as a number, in the other family, and where clouds keep credentials.
    for host in ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let told = refused(tool(hosts.clone()), &format!("http://{host}:{port}/page")).await;
        assert!(told.contains("private network"), "{host}: {told}");
    }
}

#[tokio::test]
async fn a_redirect_is_judged_like_a_first_address() {
    let web = web().await;
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", web.port);
    for (path, expected) in [
        ("/far", "\"localhost\" is not allowed"),
        ("/file", "only http:// and https://"),
        ("/round", "more than 5 times"),
    ] {
        let told = refused(tool(json!({})), &url(path)).await;
        assert!(told.contains(expected), "{path}: {told}");
    }
}

#[tokio::test]
async fn what_is_not_allowed_or_takes_too_long_is_refused() {
    let web = web().await;
    let url = format!("http://127.0.0.1:{}/mute", web.port);
    let late = refused(tool(json!({ "timeout": "100ms" })), &url).await;
    assert!(late.contains("longer than 100ms"), "{late}");
    for (url, expected) in [
        ("https://example.com/", "is not allowed"),
        ("ftp://127.0.0.1/", "only http:// and https://"),
        ("http://me:hush@127.0.0.1/", "user name or password"),
        ("nonsense", "malformed"),
    ] {
        let told = refused(tool(json!({})), url).await;
        assert!(told.contains(expected) && !told.contains("hush"), "{url}: {told}");
    }
}

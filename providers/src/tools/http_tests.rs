//! A tool server that runs somewhere else and is reached over HTTP.

use greenroom_contract::port::tool::Error;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    fake_http::{Fake, Running},
    tests::{call, names, said, try_open, until},
};

fn at(server: &Running, more: Value) -> Value {
    let mut tool = json!({ "url": server.url, "start_timeout": "5s" });
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{ "mcp": tool }])
}

#[tokio::test]
async fn a_server_over_http_is_used_with_its_token_or_header() {
    for (header, value, key) in [
        ("authorization", "Bearer canary-of-a-token", json!({ "auth": { "bearer_env": "KEY" } })),
        ("x-api-key", "canary-of-a-token", json!({ "headers_from": { "X-Api-Key": "KEY" } })),
    ] {
        let server = Fake { wants: Some((header, value.to_owned())), ..Fake::default() }.start().await;
        let tools = at(&server, key);
        let set = try_open(tools.clone(), &[("KEY", "canary-of-a-token")]).await.unwrap();
        assert_eq!(names(&set), ["hello"]);
        assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
        set.close().await;

        let unusable = try_open(tools, &[("KEY", "canary-that-is-wrong")]).await.err().unwrap();
        assert!(unusable.reason.contains("127_0_0_1") && !unusable.to_string().contains("canary"), "{unusable}");
    }
}

#[tokio::test]
async fn a_session_that_ran_out_is_begun_anew_and_the_call_made_once() {
    for vague in [false, true] {
        let server = Fake { sessions: true, vague, ..Fake::default() }.start().await;
        let set = try_open(at(&server, json!({})), &[]).await.unwrap();
        assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
        server.fake.seen.lock().unwrap().sessions.clear();
        assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
        {
            let seen = server.fake.seen.lock().unwrap();
            assert_eq!((seen.begun, seen.calls), (2, 2));
        }
        set.close().await;
    }
}

#[tokio::test]
async fn tokens_are_got_used_while_they_are_good_and_got_again_when_they_are_refused() {
    let server = Fake { tokens_for: Some(3600.0), ..Fake::default() }.start().await;
    let oauth = json!({ "client_id_env": "ID", "client_secret_env": "SECRET", "scopes": ["tools:use"] });
    let tools = at(&server, json!({ "auth": { "oauth": oauth } }));
    let set = try_open(tools, &[("ID", "greenroom"), ("SECRET", "canary of a secret")]).await.unwrap();
    said(&set, "hello", json!({})).await;
    {
        let seen = server.fake.seen.lock().unwrap();
        assert_eq!(seen.asked_for_tokens.len(), 1, "one token serves for all");
        let (body, authorization) = &seen.asked_for_tokens[0];
        let resource: String = form_urlencoded::byte_serialize(server.url.as_bytes()).collect();
        assert_eq!(*body, format!("grant_type=client_credentials&resource={resource}&scope=tools%3Ause"));
        // `greenroom:canary+of+a+secret`
        assert_eq!(authorization, "Basic Z3JlZW5yb29tOmNhbmFyeStvZithK3NlY3JldA==");
    }
    // Another is the only good one now: the server refuses ours, having done nothing, and the call is made with a new one.
    server.fake.seen.lock().unwrap().tokens.push("another".to_owned());
    assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
    assert_eq!(server.fake.seen.lock().unwrap().asked_for_tokens.len(), 2);
    assert_eq!(server.fake.seen.lock().unwrap().calls, 2);
    set.close().await;
}

#[tokio::test]
async fn a_token_is_renewed_before_it_runs_out() {
    // Each is past nine tenths of its life when it is used next.
    let server = Fake { tokens_for: Some(0.02), ..Fake::default() }.start().await;
    let token_url = format!("{}/token", server.origin);
    let oauth = json!({ "client_id_env": "ID", "client_secret_env": "SECRET", "token_url": token_url });
    let tools = at(&server, json!({ "auth": { "oauth": oauth } }));
    let set = try_open(tools, &[("ID", "greenroom"), ("SECRET", "canary-of-a-secret")]).await.unwrap();
    let before = server.fake.seen.lock().unwrap().tokens.len();
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    said(&set, "hello", json!({})).await;
    assert!(server.fake.seen.lock().unwrap().tokens.len() > before);
    set.close().await;
}

#[tokio::test]
async fn metadata_of_somebody_else_get_no_secret() {
    for (says, expected) in [
        (("resource", json!("https://other.test/mcp")), "does not speak for this tool server"),
        (("resource", Value::Null), "does not speak for this tool server"),
        (("issuer", json!("https://other.test")), "does not speak for the issuer"),
        (("issuer", Value::Null), "does not speak for the issuer"),
    ] {
        let server = Fake { tokens_for: Some(3600.0), says: Some(says), ..Fake::default() }.start().await;
        let oauth = json!({ "client_id_env": "ID", "client_secret_env": "SECRET" });
        let tools = at(&server, json!({ "auth": { "oauth": oauth } }));
        let unusable = try_open(tools, &[("ID", "greenroom"), ("SECRET", "canary")]).await.err().unwrap();
        assert!(unusable.reason.contains(expected), "{unusable}");
        assert!(server.fake.seen.lock().unwrap().asked_for_tokens.is_empty());
    }
}

#[tokio::test]
async fn credentials_come_out_nowhere() {
    // An authorization server that refuses, and repeats what it was sent.
    let refusing = Fake::default().start().await;
    let token_url = format!("{}/token", refusing.origin);
    let oauth = json!({ "client_id_env": "ID", "client_secret_env": "SECRET", "token_url": token_url });
    let tools = at(&refusing, json!({ "auth": { "oauth": oauth } }));
    let secrets = [("ID", "canary-of-an-id"), ("SECRET", "canary-of-a-secret")];
    let unusable = try_open(tools, &secrets).await.err().unwrap();
    assert!(unusable.reason.contains("401 Unauthorized (invalid_client)"), "{unusable}");
    assert!(!format!("{unusable} {unusable:?}").contains("canary"), "{unusable}");

    // A tool server that does so in its answers.
    let leaking = Fake { leaks: true, tokens_for: Some(3600.0), ..Fake::default() }.start().await;
    let oauth = json!({ "client_id_env": "ID", "client_secret_env": "SECRET" });
    let tools = at(&leaking, json!({ "auth": { "oauth": oauth }, "headers_from": { "X-Api-Key": "SECRET" } }));
    let set = try_open(tools, &secrets).await.unwrap();
    let told = set.call(call("hello", json!({}))).await.unwrap();
    assert!(told.is_error && told.content.contains("***"), "{told:?}");
    assert!(!told.content.contains("canary"), "{told:?}");
    set.close().await;
}

#[tokio::test]
async fn a_server_that_has_gone_was_not_called_and_comes_back() {
    // In a runtime of its own, so that its connections die with it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime.spawn(async move {
        let _server = Fake::default().start_on(TcpListener::from_std(listener).unwrap());
        std::future::pending::<()>().await;
    });
    let tools = json!([{ "mcp": { "url": format!("http://{address}/mcp"), "start_timeout": "5s" } }]);
    let set = try_open(tools, &[]).await.unwrap();

    first.abort();
    runtime.shutdown_background();
    until("nobody listens any more", || std::net::TcpStream::connect(address).is_err()).await;
    let gone = set.call(call("hello", json!({}))).await.unwrap_err();
    assert!(matches!(gone, Error::Unavailable { .. }), "{gone}");
    until("the set says that it is degraded", || !set.degraded().is_empty()).await;
    assert!(set.degraded()[0].contains("refused"), "{:?}", set.degraded());
    assert!(set.list().is_empty());

    let _server = Fake::default().start_on(TcpListener::bind(address).await.unwrap());
    until("the server is back", || set.degraded().is_empty()).await;
    assert_eq!(said(&set, "hello", json!({})).await, "hello from afar");
    set.close().await;
}

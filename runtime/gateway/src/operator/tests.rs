//! The HTTP API as a whole.

use axum::{body::Body, http::Request};
use greenroom_contract::status::ExecutionStatus;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::testing::{Answer, House, Mood, execution};

const INVOKE: &str = "/v1/agents/customer-support/invoke";
const JSON: &str = "application/json";

async fn post_raw(house: &House, path: &str, media: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut request = Request::post(path).header("host", "127.0.0.1");
    if let Some(media) = media {
        request = request.header("content-type", media);
    }
    house.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn an_invocation_is_taken_in() {
    let house = House::new();
    let request = Request::post(INVOKE)
        .header("host", "localhost")
        .header("content-type", "application/json; charset=utf-8")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("idempotency-key", "k-1");
    let body = json!({"input": {"question": "why?"}, "priority": "high", "conversation": "c1"}).to_string();
    let answer = house.send(request.body(Body::from(body)).unwrap()).await;
    let id = execution(ExecutionStatus::Queued).id;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("location"), format!("/v1/executions/{id}"));
    assert_eq!(
        answer.json(),
        json!({"execution_id": id, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "status": "queued"})
    );
    let invocations = house.operator.invocations.lock().unwrap();
    let invocation = &invocations[0];
    assert_eq!(invocation.input, json!({"question": "why?"}));
    assert_eq!(invocation.priority.as_u8(), 2);
    assert_eq!(invocation.conversation.as_deref(), Some("c1"));
    assert_eq!(invocation.idempotency_key.as_deref(), Some("k-1"));
    assert_eq!(invocation.source, "http");
}

#[tokio::test]
async fn a_caller_who_waits_gets_the_outcome() {
    let house = House::new();
    for status in [ExecutionStatus::Succeeded, ExecutionStatus::Failed] {
        *house.operator.outcome.lock().unwrap() = Some(status);
        let answer = house.post(&format!("{INVOKE}?wait=30s"), json!({"input": "hi"})).await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!(body["status"], status.as_str());
        assert_eq!(body["output"], "hello");
        assert_eq!(body["cost_usd"], Value::Null, "an unknown price is not zero");
        assert_eq!(body["steps"], json!([]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_or_a_stop_tells_how_far_it_is() {
    let house = House::new();
    let answer = house.post(&format!("{INVOKE}?wait=2s"), json!({"input": "hi"})).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["status"], "running");

    house.closing.cancel();
    let started = tokio::time::Instant::now();
    let answer = house.post(&format!("{INVOKE}?wait=10m"), json!({"input": "hi"})).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (202, &json!("queued")));
    assert!(started.elapsed().as_secs() < 1, "a node that stops does not let its callers wait");
}

#[tokio::test]
async fn bad_bodies_are_problems_with_their_place() {
    let house = House::new();
    let deep = format!(r#"{{"input":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    for (body, status, code) in [
        ("", 400, "bad_json"),
        ("  ", 400, "bad_json"),
        ("{\n  \"input\": }", 400, "bad_json"),
        (r#"{"input":"a""#, 400, "bad_json"),
        (r#"{"input":"a"} x"#, 400, "bad_json"),
        (deep.as_str(), 400, "bad_json"),
        ("[]", 422, "invalid"),
        ("null", 422, "invalid"),
        ("{}", 422, "invalid"),
        (r#"{"input":"a","inptu":"b"}"#, 422, "invalid"),
        (r#"{"input":"a","input":"b"}"#, 422, "invalid"),
        (r#"{"input":"a","priority":"urgent"}"#, 422, "invalid"),
        (r#"{"input":"a","conversation":7}"#, 422, "invalid"),
        (r#"{"input":"a","conversation":""}"#, 422, "invalid"),
        (r#"{"input":"  "}"#, 422, "invalid"),
        (r#"{"input":null}"#, 422, "invalid"),
        (r#"{"input":[1]}"#, 422, "invalid"),
        (r#"{"input":1}"#, 422, "invalid"),
    ] {
        let answer = post_raw(&house, INVOKE, Some(JSON), body.to_owned()).await;
        let problem = answer.problem(status, code);
        assert_eq!(problem["instance"], INVOKE);
        if !body.trim().is_empty() {
            let place = &problem["errors"][0];
            assert!(place["line"].is_u64() || place["pointer"].is_string(), "{body}: {problem}");
        }
    }
    let problem = post_raw(&house, INVOKE, Some(JSON), "{\n  \"input\": }").await.json();
    assert_eq!((&problem["errors"][0]["line"], &problem["errors"][0]["column"]), (&json!(2), &json!(12)));
    let problem = post_raw(&house, INVOKE, Some(JSON), r#"{"input":"a","inptu":"b"}"#).await.json();
    assert!(problem["detail"].as_str().unwrap().contains("unknown field `inptu`"), "{problem}");
    let bytes = post_raw(&house, INVOKE, Some(JSON), vec![b'{', 0xff, 0xfe]).await;
    bytes.problem(400, "bad_json");

    for media in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("")] {
        post_raw(&house, INVOKE, media, r#"{"input":"a"}"#).await.problem(415, "wrong_content_type");
    }
    let long = json!({"input": "x".repeat(1024 * 1024)}).to_string();
    post_raw(&house, INVOKE, Some(JSON), long).await.problem(413, "too_large");
    assert!(house.operator.invocations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bad_parameters_ids_and_headers_are_problems_with_their_place() {
    let house = House::new();
    for (path, code) in [
        ("/v1/agents?colour=red", "bad_parameter"),
        ("/v1/agents?status=sleepy", "bad_parameter"),
        ("/v1/executions?limit=0", "bad_parameter"),
        ("/v1/executions?limit=501", "bad_parameter"),
        ("/v1/executions?limit=ten", "bad_parameter"),
        ("/v1/executions?limit=1&limit=2", "bad_parameter"),
        ("/v1/executions?agent=Bad%20Name", "bad_parameter"),
        ("/v1/executions?trace_id=xyz", "bad_parameter"),
        ("/v1/executions?status=done", "bad_parameter"),
        ("/v1/executions?cursor=strange", "bad_parameter"),
        ("/v1/dead-letters?replayed=maybe", "bad_parameter"),
        ("/v1/tree?format=svg", "bad_parameter"),
        ("/v1/tree?scope=universe", "bad_parameter"),
        ("/v1/version?x", "bad_parameter"),
        ("/health?x=1", "bad_parameter"),
        ("/v1/agents/NotAName", "bad_id"),
        ("/v1/agents/%ff", "bad_id"),
        ("/v1/executions/42", "bad_id"),
        ("/v1/dead-letters/seven", "bad_id"),
        ("/v1/traces/00000000000000000000000000000000", "bad_id"),
    ] {
        let problem = house.get(path).await.problem(400, code);
        if code == "bad_parameter" {
            assert!(problem["errors"][0]["parameter"].is_string(), "{path}: {problem}");
        }
    }
    for wait in ["30", "soon", "-1s", "11m"] {
        house.post(&format!("{INVOKE}?wait={wait}"), json!({"input": "a"})).await.problem(400, "bad_parameter");
    }
    for key in ["", "with blank", &"x".repeat(256)] {
        let request = Request::post(INVOKE).header("host", "localhost").header("content-type", JSON);
        let request = request.header("idempotency-key", key).body(Body::from(r#"{"input":"a"}"#)).unwrap();
        house.send(request).await.problem(400, "bad_header");
    }
    assert!(house.operator.invocations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_exist_and_what_is_not_built_are_problems() {
    let house = House::new();
    house.get("/nowhere").await.problem(404, "no_such_route");
    house.get("/v1/agents/").await.problem(404, "no_such_route");
    house.get("/v1/agents/nobody").await.problem(404, "not_found");
    house.post("/v1/agents/nobody/invoke", json!({"input": "a"})).await.problem(404, "not_found");
    house.get("/v1/executions/01900000-0000-7000-8000-000000000001").await.problem(404, "not_found");
    house.get("/v1/dead-letters/1").await.problem(404, "not_found");
    house.get("/v1/plans/01900000-0000-7000-8000-000000000001").await.problem(404, "not_found");
    house.get("/v1/traces/11111111111111111111111111111111").await.problem(404, "not_found");
    let answer = house.post("/v1/agents", json!({})).await;
    answer.problem(405, "wrong_method");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    for path in ["/", "/openapi.json", "/v1/events"] {
        house.get(path).await.problem(501, "not_built");
    }
}

#[tokio::test]
async fn the_machines_refusals_keep_their_meaning() {
    let house = House::new();
    house.operator.set(Mood::Unavailable);
    let answer = house.post(INVOKE, json!({"input": "a"})).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    house.operator.set(Mood::Conflict);
    house.post(INVOKE, json!({"input": "a"})).await.problem(409, "conflict");
    house.operator.set(Mood::Panics);
    let answer = house.post(INVOKE, json!({"input": "a"})).await;
    answer.problem(500, "internal");
    assert!(!answer.text().contains("secret"), "a panic's text stays in the log");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_answer_is_unavailable() {
    let house = House::new();
    house.operator.set(Mood::Hangs);
    house.post(INVOKE, json!({"input": "a"})).await.problem(503, "unavailable");
}

#[tokio::test]
async fn agents_are_listed_filtered_and_commanded() {
    let house = House::new();
    let names = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().unwrap().clone();
        items.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = house.get("/v1/agents").await;
    assert_eq!(names(&all), ["customer-support", "researcher"]);
    assert_eq!(all.json()["next_cursor"], Value::Null);
    assert_eq!(names(&house.get("/v1/agents?status=failed").await), ["researcher"]);
    assert_eq!(names(&house.get("/v1/agents?status=failed,idle&type=support").await).len(), 2);
    assert_eq!(names(&house.get("/v1/agents?mode=continuous").await).len(), 0);
    assert_eq!(names(&house.get("/v1/agents?node=n1&status=").await).len(), 2);
    assert_eq!(house.get("/v1/agents/researcher").await.json()["status"], "failed");
    for verb in ["restart", "pause", "resume"] {
        let answer = house.post(&format!("/v1/agents/researcher/{verb}"), json!({})).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["name"]), (200, &json!("researcher")), "{verb}");
    }
}

#[tokio::test]
async fn executions_are_listed_shown_and_cancelled() {
    let house = House::new();
    let id = execution(ExecutionStatus::Queued).id;
    let list = house.get("/v1/executions?agent=customer-support&status=failed&status=dead&limit=7&cursor=abc").await;
    assert_eq!(list.json()["items"][0]["execution_id"], json!(id));
    {
        let asked = house.state.asked.lock().unwrap();
        let (filter, page) = &asked[0];
        assert_eq!(filter.agent.as_ref().unwrap().as_str(), "customer-support");
        assert_eq!(filter.status, [ExecutionStatus::Failed, ExecutionStatus::Dead]);
        assert_eq!((page.limit, page.cursor.as_deref()), (7, Some("abc")));
    }
    let shown = house.get(&format!("/v1/executions/{id}")).await.json();
    assert_eq!(shown["steps"], json!([]));
    assert!(shown.get("reply_to").is_none());
    let cancelled = house.post(&format!("/v1/executions/{id}/cancel"), json!({})).await;
    assert_eq!(cancelled.status, 200);
}

#[tokio::test]
async fn dead_letters_are_shown_without_addresses_sent_again_and_deleted() {
    let house = House::new();
    for path in ["/v1/dead-letters", "/v1/dead-letters/7", "/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736"] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains("provider_unavailable"), "{path}");
        assert!(!answer.text().contains("hooks.slack.com"), "{path} shows a reply address");
    }
    let answer = house.post("/v1/dead-letters/7/replay", json!({})).await;
    let id = execution(ExecutionStatus::Queued).id;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("location"), format!("/v1/executions/{id}"));
    house.post("/v1/dead-letters/8/replay", json!({})).await.problem(409, "conflict");
    house.post("/v1/dead-letters/9/replay", json!({})).await.problem(500, "corrupt");
    house.post("/v1/dead-letters/1/replay", json!({})).await.problem(404, "not_found");
    let delete =
        |id: u32| Request::delete(format!("/v1/dead-letters/{id}")).header("host", "[::1]:80").body(Body::empty());
    assert_eq!(house.send(delete(7).unwrap()).await.status, 204);
    house.send(delete(1).unwrap()).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_trace_shows_its_workflow() {
    let house = House::new();
    let body = house.get("/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736").await.json();
    assert_eq!(body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(body["executions"][0]["steps"], json!([]));
    assert_eq!(body["pending"], json!([]));
    assert_eq!(body["dead_letters"][0]["id"], 7);
}

#[tokio::test]
async fn an_event_is_published() {
    let house = House::new();
    let answer = house
        .post(
            "/v1/events",
            json!({"event_type": "demo.hello", "payload": {"a": 1}, "priority": "low", "correlation_id": "x"}),
        )
        .await;
    assert_eq!(answer.status, 202);
    {
        let events = house.operator.events.lock().unwrap();
        assert_eq!(events[0].event_type, "demo.hello");
        assert_eq!(events[0].correlation_id.as_deref(), Some("x"));
        assert_eq!(answer.json()["event_id"], json!(events[0].event_id));
        assert_eq!(answer.json()["trace_id"], answer.header("x-trace-id"));
    }
    for topic in ["", "a..b", "a.*", "a b", &"x".repeat(256)] {
        let problem =
            house.post("/v1/events", json!({"event_type": topic, "payload": 1})).await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/event_type");
    }
    for topic in ["cluster.lifecycle.parked", "greenroom.dead.a", "Cluster.tree"] {
        let problem =
            house.post("/v1/events", json!({"event_type": topic, "payload": 1})).await.problem(422, "invalid");
        assert!(problem.to_string().contains("only the runtime itself speaks"), "{problem}");
    }
    house.post("/v1/events", json!({"event_type": "a"})).await.problem(422, "invalid");
}

#[tokio::test]
async fn the_tree_queues_version_and_health_are_shown() {
    let house = House::new();
    let tree = house.get("/v1/tree?status=failed").await.json();
    assert_eq!(tree["nodes"][0]["root"]["children"][0]["children"][0]["name"], "researcher");
    let text = house.get("/v1/tree?format=text").await;
    assert!(text.header("content-type").starts_with("text/plain"));
    assert!(text.text().contains("panicked: boom  [31mred"), "{}", text.text());
    assert!(house.get("/v1/tree?format=mermaid&q=support").await.text().starts_with("flowchart"));
    assert_eq!(house.get("/v1/queues").await.json()["items"][0]["ready"], 2);
    assert_eq!(house.get("/v1/version").await.json(), json!({"name": "greenroom", "version": "0.1.0"}));
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(house.get(path).await.status, 200, "{path}");
    }
    *house.operator.down.lock().unwrap() = true;
    assert_eq!(house.get("/health").await.status, 503);
    assert_eq!(house.get("/health/live").await.status, 200, "a store that is down is no reason to kill the process");
    let answer = house.get("/health/ready").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["ready"]), (503, &json!(false)));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn with_a_token_it_is_asked_for_everywhere_but_at_health() {
    let house = House::with(|doors| doors.token = Some(SecretString::from("canary-token")));
    let ask = async |path: &str, authorization: Option<&str>| {
        let mut request = Request::get(path).header("host", "greenroom.example.com");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(ask("/v1/agents", Some("Bearer canary-token")).await.status, 200, "any host is well with a token");
    for wrong in [None, Some("Bearer canary-tokem"), Some("Bearer "), Some("canary-token"), Some("Basic canary-token")]
    {
        for path in ["/v1/agents", "/nowhere", "/", "/healthy", "/v1/executions/bad-id"] {
            let answer = ask(path, wrong).await;
            answer.problem(401, "unauthorized");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            assert!(!answer.text().contains("canary"));
        }
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(ask(path, None).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_a_token_only_this_machine_may_ask() {
    let house = House::new();
    let ask = async |host: Option<&str>, origin: Option<&str>| {
        let mut request = Request::get("/v1/agents");
        for (name, value) in [("host", host), ("origin", origin)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        house.send(request.body(Body::empty()).unwrap()).await
    };
    for host in ["localhost", "localhost:8080", "127.0.0.1:9", "[::1]:8080"] {
        assert_eq!(ask(Some(host), Some("http://localhost:3000")).await.status, 200, "{host}");
    }
    for host in [None, Some("evil.example.com"), Some("localhost.evil.com"), Some("10.0.0.1")] {
        ask(host, None).await.problem(403, "host_refused");
    }
    for origin in ["https://evil.example.com", "null", "http://localhost.evil.com"] {
        ask(Some("localhost"), Some(origin)).await.problem(403, "origin_refused");
    }
    let absolute = Request::get("http://evil.example.com/v1/agents").header("host", "localhost");
    house.send(absolute.body(Body::empty()).unwrap()).await.problem(403, "host_refused");
}

#[tokio::test]
async fn the_trace_id_comes_from_the_caller_or_is_made() {
    let house = House::new();
    let ask = async |name: &str, value: &str| {
        let request = Request::get("/v1/version").header("host", "localhost").header(name, value);
        house.send(request.body(Body::empty()).unwrap()).await.header("x-trace-id").to_owned()
    };
    let given = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(ask("traceparent", &format!("00-{given}-00f067aa0ba902b7-01")).await, given);
    assert_eq!(ask("x-trace-id", given).await, given);
    for invalid in ["", "nonsense", "00000000000000000000000000000000"] {
        let made = ask("x-trace-id", invalid).await;
        assert_eq!(made.len(), 32);
        assert_ne!(made, invalid);
    }
}

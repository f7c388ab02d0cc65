//! No secret in any log, answer or error, and none on the disk: canaries are planted, and everything that comes out or is
//! kept is searched.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use kit::{
    model::{ModelServer, Reply},
    node::Home,
    slack::Slack,
    vendor::{self, Exchange, Refusal, Vendor},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cast::{SOON, agent};

const KEY: &str = "sk-canary-of-the-model-key";
const TOKEN: &str = "canary-of-the-api-token";

/// Fails if a secret stands in what was seen.
fn told_nowhere(seen: &[(&str, String)], secrets: &[&str]) {
    for (place, text) in seen {
        for secret in secrets {
            let at = text.find(secret).map(|at| &text.as_bytes()[at.saturating_sub(200)..(at + 200).min(text.len())]);
            assert!(at.is_none(), "{place} tells a secret: {:?}", at.map(String::from_utf8_lossy));
        }
    }
}

/// Fails if a secret stands in a file of the node's data folder: the store, its write-ahead log, or any other.
fn kept_nowhere(home: &Home, secrets: &[&str]) {
    let files = files_under(&home.data());
    for kept in ["greenroom.db", "greenroom.db-wal"] {
        assert!(files.iter().any(|(file, text)| file.ends_with(kept) && !text.is_empty()), "{kept} is not searched");
    }
    for (file, text) in files {
        told_nowhere(&[(file.as_str(), text)], secrets);
    }
}

fn files_under(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files.extend(files_under(&path)),
            false => {
                let bytes = std::fs::read(&path).unwrap_or_default();
                files.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    files
}

#[tokio::test]
async fn planted_secrets_come_out_nowhere() {
    let (model, slack, home) = (ModelServer::start().await, Slack::start().await, Home::new());
    // A model server that repeats the key in its refusal, as some do.
    model.then(Reply::text("fine")).then(Reply::status(401, &format!("Incorrect API key provided: {KEY}")));
    model.rule(|_| Reply::status(400, "no"));
    let more = "subscriptions: [slack.events.command.support]\nlimits: {max_attempts: 1}";
    home.agent("keeper", &agent("keeper", &model, more));
    let launch = |home| {
        let launch = Home::launch(home).envs(slack.environment()).env("GREENROOM_API_TOKEN", TOKEN);
        // The key is for the server of this address only.
        launch.env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", model.url())
    };
    let node = launch(&home).env("GREENROOM_LOG", "trace").begin().await;

    slack.command(&node, "/support", "hello").await.answer.expect(200);
    let reply = slack.reply(1, SOON).await;
    assert!(
        model.asked()[0].header("authorization").is_some_and(|value| value.contains(KEY)),
        "the key is really used"
    );
    let mut seen = vec![("Slack", reply.text())];
    let invoke = node.request("POST", "/v1/agents/keeper/invoke?wait=110s").bearer_auth(TOKEN);
    seen.push(("an answer", kit::http::send(invoke.json(&json!({"input": "again"}))).await.text));
    for path in ["/health", "/v1/agents", "/v1/tree", "/v1/executions", "/v1/dead-letters", "/v1/queues"] {
        seen.push((path, kit::http::send(node.request("GET", path).bearer_auth(TOKEN)).await.expect(200).text));
    }
    for command in ["check", "doctor"] {
        seen.push((command, launch(&home).run(&[command]).await.all()));
    }
    seen.push(("the node's output", node.process.stdout() + &node.process.stderr()));

    let response_url = reply.path;
    told_nowhere(&seen, &[KEY, TOKEN, slack.secret(), "xoxb-kit-token", &response_url]);
    // The address at which an answer is owed is kept until it is sent.
    kept_nowhere(&home, &[KEY, TOKEN, slack.secret(), "xoxb-kit-token"]);
}

const ANTHROPIC_KEY: &str = "sk-ant-canary-of-anthropic";
const AWS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIA-canary-of-the-keys-name"),
    ("AWS_SECRET_ACCESS_KEY", "canary-of-the-aws-secret"),
    ("AWS_SESSION_TOKEN", "canary-of-the-aws-session"),
    ("AWS_REGION", "eu-west-1"),
];

/// Whose servers repeat what they were shown, as some do, and at the most talkative log level.
#[tokio::test]
async fn keys_of_anthropic_and_aws_come_out_nowhere() {
    let home = Home::new();
    let anthropic = Vendor::start(Arc::new(vendor::Anthropic)).await;
    let bedrock = Vendor::start(Arc::new(vendor::Bedrock)).await;
    for vendor in [&anthropic, &bedrock] {
        vendor.then(Exchange::text(&["fine"])).then(Exchange::refusal(Refusal::BadKey));
        vendor.always(Exchange::refusal(Refusal::BadRequest));
    }
    for (name, model) in [("anthropic", "claude-haiku-4-5"), ("bedrock", "anthropic.claude-haiku-5-5")] {
        let llm = format!("{{provider: {name}, model: {model}}}");
        let limits = "limits: {max_attempts: 1}";
        let yaml = format!("name: {name}\nagent_type: test\nexecution_mode: autonomous\nllm_config: {llm}\n{limits}\n");
        home.agent(name, &yaml);
    }
    let launch = home.launch().env("GREENROOM_LOG", "trace").env("ANTHROPIC_API_KEY", ANTHROPIC_KEY);
    let launch = launch
        .env("ANTHROPIC_BASE_URL", anthropic.url())
        .envs(AWS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let node = launch.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.url()).begin().await;

    let mut seen = Vec::new();
    for agent in ["anthropic", "bedrock"] {
        for (input, fits) in [("once", "fine"), ("twice", "refused"), ("thrice", "")] {
            let invoke = node.request("POST", &format!("/v1/agents/{agent}/invoke?wait=110s"));
            let text = kit::http::send(invoke.json(&json!({ "input": input }))).await.text;
            assert!(text.contains(fits), "{agent}, {input}: {text}");
            seen.push((agent, text));
        }
    }
    let shown = |vendor: &Vendor, header: &str| vendor.asked()[0].header(header).unwrap_or_default().to_owned();
    assert!(shown(&anthropic, "authorization").contains(ANTHROPIC_KEY), "the key is really used");
    assert!(shown(&bedrock, "authorization").contains(AWS[0].1), "the key pair is really used");
    for path in ["/health", "/v1/agents", "/v1/tree", "/v1/executions", "/v1/dead-letters"] {
        seen.push((path, kit::http::send(node.request("GET", path)).await.expect(200).text));
    }
    seen.push(("the node's output", node.process.stdout() + &node.process.stderr()));
    let secrets = [ANTHROPIC_KEY, AWS[0].1, AWS[1].1, AWS[2].1];
    told_nowhere(&seen, &secrets);
    kept_nowhere(&home, &secrets);
}

/// A Bedrock API key and Ollama's, with servers that repeat them, and an agent beside that panics.
#[tokio::test]
async fn bearer_keys_come_out_nowhere_and_in_no_panic() {
    const KEYS: [(&str, &str); 2] =
        [("AWS_BEARER_TOKEN_BEDROCK", "canary-of-a-bedrock-key"), ("OLLAMA_API_KEY", "canary-of-ollama")];
    let home = Home::new();
    let bedrock = Vendor::start(Arc::new(vendor::Bedrock)).await;
    let ollama = Vendor::start(Arc::new(vendor::Ollama)).await;
    for vendor in [&bedrock, &ollama] {
        vendor.then(Exchange::text(&["fine"])).always(Exchange::refusal(Refusal::BadKey));
    }
    let yaml = |name: &str, llm: &str| {
        format!(
            "name: {name}\nagent_type: test\nexecution_mode: autonomous\nllm_config: {llm}\nlimits: {{max_attempts: 1}}\n"
        )
    };
    home.agent("bedrock", &yaml("bedrock", "{provider: bedrock, model: some-model}"));
    home.agent("ollama", &yaml("ollama", "{provider: ollama, model: llama5}"));
    home.agent("moody", &yaml("moody", "{provider: scripted, script: [{panic: a canary dies}]}"));
    let launch = home.launch().env("GREENROOM_LOG", "trace").env("RUST_BACKTRACE", "full");
    let launch =
        launch.envs(KEYS.map(|(name, value)| (name.to_owned(), value.to_owned()))).env("AWS_REGION", "eu-west-1");
    let launch = launch.env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", bedrock.url()).env("OLLAMA_HOST", ollama.url());
    let node = launch.begin().await;
    let mut seen = Vec::new();
    for (agent, input, fits) in [
        ("bedrock", "once", "fine"),
        ("bedrock", "twice", "refused"),
        ("ollama", "once", "fine"),
        ("ollama", "twice", "refused"),
        ("moody", "boom", ""),
    ] {
        let invoke = node.request("POST", &format!("/v1/agents/{agent}/invoke?wait=110s"));
        let text = kit::http::send(invoke.json(&json!({ "input": input }))).await.text;
        assert!(text.contains(fits), "{agent}, {input}: {text}");
        seen.push((agent, text));
    }
    for (vendor, (_, key)) in [&bedrock, &ollama].into_iter().zip(KEYS) {
        let shown = vendor.asked()[0].header("authorization").unwrap_or_default().to_owned();
        assert!(shown.contains(key), "the key is really used: {shown}");
    }
    for path in ["/health", "/v1/agents", "/v1/tree", "/v1/executions", "/v1/dead-letters"] {
        seen.push((path, kit::http::send(node.request("GET", path)).await.expect(200).text));
    }
    let output = node.process.stdout() + &node.process.stderr();
    assert!(output.contains("a canary dies"), "nobody panicked: {output}");
    seen.push(("the node's output", output));
    let secrets = KEYS.map(|(_, key)| key);
    told_nowhere(&seen, &secrets);
    kept_nowhere(&home, &secrets);
}

/// What AWS's own chain finds is used like what stands in the environment, and told as little.
#[tokio::test]
async fn a_profile_of_aws_is_found_and_told_nowhere() {
    let home = Home::new();
    let bedrock = Vendor::start(Arc::new(vendor::Bedrock)).await;
    bedrock.then(Exchange::text(&["fine"])).always(Exchange::refusal(Refusal::Forbidden));
    let folder = home.path().join(".aws");
    let credentials =
        "[kit]\naws_access_key_id = AKIA-canary-of-a-profile\naws_secret_access_key = canary-of-its-secret\n";
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("credentials"), credentials))
        .and_then(|()| std::fs::write(folder.join("config"), "[profile kit]\nregion = eu-north-1\n"))
        .unwrap_or_else(|error| panic!("the profile cannot be written: {error}"));
    let llm = format!("{{provider: bedrock, model: some-model, base_url: \"{}\"}}", bedrock.url());
    let yaml = format!("name: keeper\nagent_type: test\nexecution_mode: autonomous\nllm_config: {llm}\n");
    home.agent("keeper", &format!("{yaml}limits: {{max_attempts: 1}}\n"));
    let node = home.launch().env("GREENROOM_LOG", "trace").env("AWS_PROFILE", "kit").begin().await;
    let mut seen = String::new();
    for (input, fits) in [("once", "fine"), ("twice", "refused")] {
        let invoke = node.request("POST", "/v1/agents/keeper/invoke?wait=110s");
        let text = kit::http::send(invoke.json(&json!({ "input": input }))).await.text;
        assert!(text.contains(fits), "{input}: {text}");
        seen.push_str(&text);
    }
    let signature = bedrock.asked()[0].header("authorization").unwrap_or_default().to_owned();
    assert!(signature.contains("AKIA-canary-of-a-profile") && signature.contains("/eu-north-1/"), "{signature}");
    seen = seen + &node.process.stdout() + &node.process.stderr();
    told_nowhere(&[("what comes out", seen)], &["canary"]);
    kept_nowhere(&home, &["canary"]);
}

const HEADER: &str = "canary-of-a-header";
const CLIENT: &str = "canary-of-a-client";
const GRANTED: &str = "canary-of-a-granted-token";
const GIVEN: &str = "canary-of-a-program";

/// Tool servers get theirs: a header, OAuth credentials and the token that these bring, a program's variable. The server
/// repeats all that it is sent in its errors.
#[tokio::test]
async fn the_secrets_of_tool_servers_come_out_nowhere() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let address = leaky().await;
    let tools = format!(
        "tools:\n  - mcp: {{url: \"http://{address}/mcp\", headers_from: {{X-Api-Key: A_HEADER}}, auth: {{oauth: \
         {{client_id_env: A_CLIENT, client_secret_env: A_CLIENT}}}}}}\n{}\n",
        home.mcp_tool("none").replacen("mcp: {", "mcp: {env_from: {GIVEN: A_VARIABLE}, ", 1)
    );
    home.agent("keeper", &agent("keeper", &model, &tools));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tools(&[("leak", json!({})), ("lookup_ticket", json!({"id": "7"}))]),
        1 => Reply::tool("leak", json!({"refuse": true})),
        _ => Reply::text(asked.tool_results().join("\n")),
    });
    let launch = home.launch().env("GREENROOM_LOG", "trace").env("A_HEADER", HEADER).env("A_CLIENT", CLIENT);
    let node = launch.env("A_VARIABLE", GIVEN).start().await;
    let answered = node.ask("keeper", "use them").await.expect(200);
    assert!(answered.text.contains("I was sent") && answered.text.contains("***"), "{}", answered.text);
    assert!(answered.text.contains("ticket 7 is open"), "{}", answered.text);
    assert!(answered.text.contains("(invalid_client)"), "no token was refused: {}", answered.text);
    let mut seen = vec![("an answer", answered.text)];
    for path in ["/health", "/v1/agents", "/v1/agents/keeper", "/v1/tree", "/v1/executions"] {
        seen.push((path, node.get(path).await.expect(200).text));
    }
    let id = node.executions("keeper").await[0]["execution_id"].as_str().unwrap_or_default().to_owned();
    seen.push(("the journal", node.get(&format!("/v1/executions/{id}")).await.expect(200).text));
    seen.push(("the node's output", node.process.stdout() + &node.process.stderr()));
    assert!(seen.iter().any(|(_, text)| text.contains("I was given ***")), "the program's words are in no log");
    let secrets = [HEADER, CLIENT, GRANTED, GIVEN];
    told_nowhere(&seen, &secrets);
    kept_nowhere(&home, &secrets);
}

/// A tool server that repeats what it is sent, and gives out the tokens that it wants. A call that says `refuse` is not let
/// in, and no token is given for it then, once.
async fn leaky() -> std::net::SocketAddr {
    async fn answer(headers: &HeaderMap, message: Value, refuses: &AtomicBool) -> Response {
        let id = message["id"].clone();
        let good = headers.get("authorization").is_some_and(|sent| sent == &format!("Bearer {GRANTED}"))
            && headers.get("x-api-key").is_some_and(|sent| sent == HEADER);
        if message["params"]["arguments"]["refuse"] == true {
            refuses.store(true, Ordering::SeqCst);
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response();
        }
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" if good => json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "leaky", "version": "1"}
            }),
            "tools/list" => json!({"tools": [{"name": "leak", "inputSchema": {"type": "object"}}]}),
            _ => {
                let error = json!({"code": -32601, "message": format!("I was sent {headers:?}")});
                return Json(json!({"jsonrpc": "2.0", "id": id, "error": error})).into_response();
            }
        };
        Json(json!({"jsonrpc": "2.0", "id": id, "result": result})).into_response()
    }
    async fn token(credentials: &str, refuses: &AtomicBool) -> Response {
        assert!(credentials.contains(CLIENT), "who asks does not say who it is: {credentials}");
        if refuses.swap(false, Ordering::SeqCst) {
            let refusal = json!({"error": "invalid_client", "error_description": format!("not with {credentials}")});
            return (StatusCode::UNAUTHORIZED, Json(refusal)).into_response();
        }
        Json(json!({"access_token": GRANTED, "token_type": "Bearer", "expires_in": 3600})).into_response()
    }
    let (listener, address) = match TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr().map(|a| (l, a)))
    {
        Ok(bound) => bound,
        Err(error) => panic!("no port: {error}"),
    };
    let origin = format!("http://{address}");
    let resource = json!({"resource": format!("{origin}/mcp"), "authorization_servers": [origin]});
    // The credentials come in the body, where they can be read.
    let issuer = json!({
        "issuer": origin, "token_endpoint": format!("{origin}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"]
    });
    let refuses = Arc::new(AtomicBool::new(false));
    let refuses_too = Arc::clone(&refuses);
    let router =
        Router::new()
            .route(
                "/mcp",
                post(|headers: HeaderMap, Json(message): Json<Value>| async move {
                    answer(&headers, message, &refuses).await
                }),
            )
            .route("/token", post(|credentials: String| async move { token(&credentials, &refuses_too).await }))
            .route("/.well-known/oauth-protected-resource/mcp", get(|| async { Json(resource) }))
            .route("/.well-known/oauth-authorization-server", get(|| async { Json(issuer) }));
    greenroom_contract::task::spawn("leaky", async move { axum::serve(listener, router).await });
    address
}

//! No secret in any log, answer or error: canaries are planted, and everything that comes out is searched.

use serde_json::json;

use kit::{
    model::{ModelServer, Reply},
    node::Home,
    slack::Slack,
};

use crate::cast::{SOON, agent};

const KEY: &str = "sk-canary-of-the-model-key";
const TOKEN: &str = "canary-of-the-api-token";

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
    let invoke = node.request("POST", "/v1/agents/keeper/invoke?wait=30s").bearer_auth(TOKEN);
    seen.push(("an answer", kit::http::send(invoke.json(&json!({"input": "again"}))).await.text));
    for path in ["/health", "/v1/agents", "/v1/tree", "/v1/executions", "/v1/dead-letters", "/v1/queues"] {
        seen.push((path, kit::http::send(node.request("GET", path).bearer_auth(TOKEN)).await.expect(200).text));
    }
    for command in ["check", "doctor"] {
        seen.push((command, launch(&home).run(&[command]).await.all()));
    }
    seen.push(("the node's output", node.process.stdout() + &node.process.stderr()));

    let response_url = reply.path;
    for (place, text) in &seen {
        for secret in [KEY, TOKEN, slack.secret(), "xoxb-kit-token", &response_url] {
            let at = text.find(secret).map(|at| text[at.saturating_sub(200)..].chars().take(400).collect::<String>());
            assert!(at.is_none(), "{place} tells a secret: {at:?}");
        }
    }
}

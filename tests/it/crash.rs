//! `kill -9` in the middle of the work. Afterwards the run finishes by itself, finished calls are not made again, and the
//! answer comes once.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::json;

use kit::{
    model::{Asked, Gate, ModelServer, Reply},
    node::Home,
    slack::Slack,
    wait,
};

use crate::cast::{SOON, agent};

/// The run of these stories: model → lookup → model → charge → model → answer.
fn run(asked: &Asked) -> Reply {
    match asked.turn() {
        0 => Reply::tool("lookup_ticket", json!({"id": "42"})),
        1 => Reply::tool("charge", json!({"amount": 7})),
        _ => Reply::text("Ticket 42 is open and 7 was charged."),
    }
}

fn clerk(home: &Home, model: &ModelServer, effect: &str) -> String {
    let more = format!("subscriptions: [slack.events.command.clerk]\ntools:\n{}", home.mcp_tool(effect));
    agent("clerk", model, &more)
}

#[tokio::test]
async fn a_killed_node_finishes_its_runs_after_the_restart_and_pays_for_nothing_twice() {
    // Killed while the first, the second or the third call of the model is in flight.
    for dies_in_call in 1..=3 {
        let (model, slack, home) = (ModelServer::start().await, Slack::start().await, Home::new());
        let (gate, calls) = (Gate::closed(), AtomicUsize::new(0));
        let held = gate.clone();
        model.rule(move |asked| {
            let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
            if call == dies_in_call { run(asked).held_by(&held) } else { run(asked) }
        });
        // Tools that must not be called twice: were one called again, its line in the count would tell.
        home.agent("clerk", &clerk(&home, &model, "at_most_once"));

        let node = home.launch().envs(slack.environment()).start().await;
        slack.command(&node, "/clerk", "Charge ticket 42").await.answer.expect(200);
        model.wait_for_calls(dies_in_call).await;
        node.kill9().await;

        let node = home.launch().envs(slack.environment()).begin().await;
        let restarted = node.process.started;
        let reply = slack.reply(1, SOON).await;
        let took = restarted.elapsed();
        assert!(
            took < Duration::from_secs(15),
            "killed in call {dies_in_call}: the reply came {took:?} after the restart"
        );
        assert!(reply.text().contains("7 was charged"), "{}", reply.text());

        // Only the call in flight was made again.
        assert_eq!(model.calls(), 4, "killed in call {dies_in_call}: three calls, and the one in flight once more");
        assert_eq!(home.tool_calls(), [r#"lookup_ticket {"id":"42"}"#, r#"charge {"amount":7}"#]);
        let executions = node.executions("clerk").await;
        assert_eq!(executions.len(), 1);
        let id = executions[0]["execution_id"].as_str().unwrap_or_default();
        let execution = node.execution_is(id, &["succeeded"], SOON).await;
        assert_eq!((&execution["attempt"], &execution["crashes"]), (&json!(1), &json!(1)), "a crash is not a failure");

        // Nothing more comes: after an orderly stop and another start there is still one reply.
        gate.open();
        assert!(node.stop().await.success());
        let node = home.launch().envs(slack.environment()).start().await;
        assert!(outbox_is_empty(&node, &executions[0]["trace_id"]).await);
        assert_eq!(slack.received().len(), 1, "one reply");
    }
}

#[tokio::test]
async fn a_tool_call_that_a_crash_interrupted_follows_its_effect() {
    // Whether the interrupted call is made again, and how the run goes on.
    for (effect, calls) in [("idempotent", 2), ("at_most_once", 1)] {
        let (model, home) = (ModelServer::start().await, Home::new());
        let opens = home.path().join("the-slow-tool-may-answer");
        let wish = opens.display().to_string();
        model.rule(move |asked| match asked.turn() {
            0 => Reply::tool("slow", json!({"until": wish})),
            _ => Reply::text(format!("It said: {}", asked.tool_results().join(", "))),
        });
        home.agent("clerk", &clerk(&home, &model, effect));
        let node = home.launch().start().await;
        let id = node.submit("clerk", "Do the slow thing").await;
        wait::until("the tool to be called", SOON, async || home.tool_calls().len() == 1).await;
        node.kill9().await;

        std::fs::write(&opens, "").unwrap_or_else(|error| panic!("{error}"));
        let node = home.launch().start().await;
        if effect == "idempotent" {
            let execution = node.execution_is(&id, &["succeeded"], SOON).await;
            assert!(execution["output"].to_string().contains("at last"), "{execution}");
        } else {
            // Nobody knows whether it happened: the step says so, and a person decides.
            wait::seen("the step to be unknown", SOON, async || {
                let execution = node.execution(&id).await;
                let unknown =
                    execution["steps"].as_array().into_iter().flatten().any(|step| step["status"] == "unknown");
                if unknown { Ok(()) } else { Err(execution.to_string()) }
            })
            .await;
        }
        assert_eq!(home.tool_calls().len(), calls, "effect {effect}");
    }
}

#[tokio::test]
async fn a_keyed_call_that_a_crash_interrupted_is_made_again_and_has_its_effect_once() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let opens = home.path().join("the-booking-may-be-answered");
    let wish = opens.display().to_string();
    model.rule(move |asked| match asked.turn() {
        0 => Reply::tool("book", json!({"what": "a table", "until": wish})),
        _ => Reply::text(asked.tool_results().join(", ")),
    });
    home.agent("clerk", &clerk(&home, &model, "keyed"));
    let node = home.launch().start().await;
    let id = node.submit("clerk", "Book a table").await;
    wait::until("the table to be booked", SOON, async || home.tool_effects().len() == 1).await;
    node.kill9().await;

    std::fs::write(&opens, "").unwrap_or_else(|error| panic!("{error}"));
    let node = home.launch().start().await;
    let execution = node.execution_is(&id, &["succeeded"], SOON).await;
    assert!(execution["output"].to_string().contains("booked a table"), "{execution}");
    assert_eq!((home.tool_calls().len(), home.tool_effects().len()), (2, 1), "called again with the same key");
}

#[tokio::test]
async fn everything_that_was_accepted_before_a_kill_reaches_its_end() {
    const WORK: usize = 40;
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("done").held_by(&held));
    home.agent("clerk", &agent("clerk", &model, "concurrency: 8"));
    let node = home.launch().start().await;
    // Accepted: some are being worked on, most still wait in queue or inbox.
    let mut accepted = Vec::new();
    for number in 0..WORK {
        accepted.push(node.submit("clerk", &format!("piece {number}")).await);
    }
    model.wait_for_calls(8).await;
    node.kill9().await;

    gate.open();
    let node = home.launch().start().await;
    for id in &accepted {
        node.execution_is(id, &["succeeded"], SOON).await;
    }
    assert_eq!(node.executions("clerk").await.len(), WORK, "each once, and nothing besides");
}

#[tokio::test]
async fn a_run_that_crashes_its_node_again_and_again_is_given_up() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("never").held_by(&held));
    home.agent("clerk", &agent("clerk", &model, ""));
    let mut node = home.launch().start().await;
    let id = node.submit("clerk", "poison").await;
    let mut kills = 0;
    loop {
        // In flight again, or given up.
        let given_up = wait::seen("the run to be in flight, or given up", SOON, async || {
            let execution = node.execution(&id).await;
            let ended = ["failed", "dead"].iter().any(|status| execution["status"] == *status);
            if ended || model.calls() > kills { Ok(ended) } else { Err(execution.to_string()) }
        })
        .await;
        if given_up {
            break;
        }
        kills += 1;
        assert!(kills <= 5, "five crashes and it is still tried");
        node.kill9().await;
        node = home.launch().start().await;
    }
    assert!(kills >= 2, "a crash alone is no failure");
    let letters = node.get("/v1/dead-letters?agent=clerk").await.expect(200);
    assert_eq!(letters.json["items"][0]["execution_id"], id.as_str(), "{}", letters.text);
}

async fn outbox_is_empty(node: &kit::node::Node, trace_id: &serde_json::Value) -> bool {
    let path = format!("/v1/traces/{}", trace_id.as_str().unwrap_or_default());
    wait::until("the outbox to be empty", SOON, async || node.get(&path).await.json["pending"] == json!([])).await;
    true
}

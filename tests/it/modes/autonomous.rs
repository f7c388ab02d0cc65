//! Autonomous agents, R5.

use std::{collections::BTreeMap, time::Duration};

use kit::{
    model::{Gate, ModelServer, Reply},
    wait,
};
use serde_json::{Value, json};

use crate::{
    cast::{SOON, agent},
    ground::Ground,
};

/// A cluster's nodes start one after the other.
const WHILE: Duration = wait::PATIENCE;

pub(super) async fn r5_1_each_execution_has_its_own_context_and_nobody_sees_anothers_state(ground: Ground) {
    let model = ModelServer::start().await;
    let tools = |name: &str| format!("system_prompt: I am {name}\ntools: [{{builtin: remember}}, {{builtin: recall}}]");
    ground.home().agent("solo", &agent("solo", &model, &tools("solo")));
    for name in ["ann", "bob"] {
        ground.home().agent(name, &agent(name, &model, &tools(name)).replace("autonomous", "continuous"));
    }
    model.rule(|asked| {
        let last = asked.body["messages"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
        match last["content"].as_str().filter(|_| last["role"] == "user") {
            Some(text) if text.starts_with("keep ") => Reply::tool("remember", json!({ "key": "k", "text": text })),
            Some("tell") => Reply::tool("recall", json!({})),
            _ => Reply::text(asked.tool_results().last().cloned().unwrap_or_else(|| "yes".to_owned())),
        }
    });
    let running = ground.start().await;
    let door = running.door();
    for (name, secret) in [("solo", "secret-of-solo"), ("ann", "secret-of-ann"), ("bob", "secret-of-bob")] {
        door.ask(name, &format!("keep {secret}")).await;
    }
    let spoken = json!({ "input": "this is secret-of-c1", "conversation": "C1" });
    door.post("/v1/agents/ann/invoke?wait=110s", &spoken).await.expect(200);
    for (name, own) in [("solo", "secret-of-solo"), ("ann", "secret-of-ann"), ("bob", "secret-of-bob")] {
        let told = door.ask(name, "tell").await;
        assert!(told.json["output"].as_str().is_some_and(|told| told.contains(own)), "{}", told.text);
    }
    // Whatever was asked of the model, in whatever conversation.
    for asked in model.asked() {
        let (all, who) = (asked.body.to_string(), asked.body["messages"][0]["content"].to_string());
        for name in ["solo", "ann", "bob"].iter().filter(|name| !who.contains(&format!("I am {name}"))) {
            assert!(!all.contains(&format!("secret-of-{name}")), "{who} sees what is {name}'s: {all}");
        }
        let in_c1 = all.contains("this is secret-of-c1");
        assert!(!in_c1 || asked.question() == "this is secret-of-c1", "another conversation sees it: {all}");
    }
    // Of an execution of its own an autonomous agent keeps nothing but what it was told to remember.
    let again = model.asked().into_iter().filter(|asked| asked.question() == "tell").map(|asked| asked.body);
    let solo = again.into_iter().find(|body| body["messages"][0]["content"].to_string().contains("I am solo")).unwrap();
    assert!(!solo.to_string().contains("keep secret"), "{solo}");
    running.stop().await;
}

pub(super) async fn r5_2_an_agent_sees_its_own_tools_only_with_their_credentials(ground: Ground) {
    let (model, home) = (ModelServer::start().await, ground.home());
    home.agent("clock", &agent("clock", &model, "limits: {max_attempts: 1}\ntools: [{builtin: current_time}]"));
    home.agent("desk", &agent("desk", &model, &format!("tools:\n{}", home.mcp_tool("idempotent"))));
    home.agent("bare", &agent("bare", &model, "system_prompt: I am bare"));
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("lookup_ticket", json!({ "id": "7" })),
        _ => Reply::text(asked.tool_results().join(" ")),
    });
    let running = ground.start().await;
    let told = running.door().ask("desk", "look").await;
    assert!(home.tool_calls().iter().any(|call| call.contains("lookup_ticket")), "{}", told.text);
    let calls = home.tool_calls().len();
    for other in ["clock", "bare"] {
        let told = running.door().ask(other, "look").await;
        let steps = running.door().execution(&told.str("/execution_id")).await["steps"].clone();
        assert_ne!(steps[1]["status"], "settled", "a tool of another agent was called: {steps}");
    }
    assert_eq!(home.tool_calls().len(), calls, "another agent's tool was reached");
    let mut offered: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    for asked in model.asked() {
        *offered.entry(asked.tools()).or_default() += 1;
    }
    assert!(offered.contains_key(&vec!["current_time".to_owned()]) && offered.contains_key(&Vec::new()), "{offered:?}");
    assert!(offered.keys().all(|tools| !tools.contains(&"current_time".to_owned()) || tools.len() == 1), "{offered:?}");
    running.stop().await;
}

pub(super) async fn r5_3_results_are_found_by_agent_and_execution(ground: Ground) {
    let model = ModelServer::start().await;
    model.rule(|asked| Reply::text(format!("done: {}", asked.question())));
    for name in ["one", "two"] {
        ground.home().agent(name, &agent(name, &model, ""));
    }
    let running = ground.start().await;
    let mut given = Vec::new();
    for number in 0..6 {
        let name = ["one", "two"][number % 2];
        let answer = running.door().ask(name, &number.to_string()).await;
        given.push((name, answer.str("/execution_id"), answer.json["output"].clone()));
    }
    running.stop().await;
    // Not only while the node remembers.
    let running = ground.start().await;
    for (name, id, output) in &given {
        let shown = running.door().execution(id).await;
        assert_eq!((&shown["agent"], &shown["output"], &shown["status"]), (&json!(name), output, &json!("succeeded")));
    }
    for name in ["one", "two"] {
        let mut listed: Vec<String> =
            running.door().executions(name).await.iter().map(|one| word(one, "execution_id")).collect();
        let mut own: Vec<String> = given.iter().filter(|one| one.0 == name).map(|one| one.1.clone()).collect();
        listed.sort();
        own.sort();
        assert_eq!(listed, own);
    }
    running.stop().await;
}

fn word(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

pub(super) async fn r5_4_two_retries_with_a_fresh_context_then_a_dead_letter_an_event_and_a_log_line(ground: Ground) {
    let (model, home) = (ModelServer::start().await, ground.home());
    // Each attempt gets as far as a tool, and then runs out of time.
    let never = Gate::closed();
    let held = never.clone();
    model.rule(move |asked| match (asked.question().as_str(), asked.turn()) {
        ("please", 0) => Reply::tool("lookup_ticket", json!({ "id": "1" })),
        ("please", _) => Reply::text("never").held_by(&held),
        _ => Reply::text("heard"),
    });
    // Three attempts unless its file says otherwise.
    let limits = "limits: {timeout: 1s, retry: {min: 10ms, max: 20ms}}\nsupervision: {failures_before_restart: 100}";
    home.agent("flaky", &agent("flaky", &model, &format!("{limits}\ntools:\n{}", home.mcp_tool("idempotent"))));
    home.agent("watcher", &agent("watcher", &model, "subscriptions: [agent.output.flaky]"));
    let running = ground.start().await;
    let door = running.door();
    let answer = door.ask("flaky", "please").await;
    let (id, trace) = (answer.str("/execution_id"), answer.str("/trace_id"));
    let ended = door.execution_is(&id, &["failed", "timed_out", "dead"], SOON).await;
    assert_eq!(ended["attempt"], 3, "{ended}");
    let first: Vec<Value> = model
        .asked()
        .iter()
        .filter(|asked| asked.question() == "please" && asked.turn() == 0)
        .map(|asked| asked.body["messages"].clone())
        .collect();
    assert_eq!(first.len(), 3, "one beginning for each attempt");
    assert!(first.iter().all(|messages| *messages == first[0]), "each begins afresh");

    let letters = door.get("/v1/dead-letters?agent=flaky").await.expect(200).json;
    let letter = &letters["items"][0];
    assert_eq!((&letter["execution_id"], &letter["attempts"]), (&json!(id), &json!(3)), "{letters}");
    wait::seen("the event of the failure, at who listens", WHILE, async || {
        let heard = door.executions("watcher").await;
        let told = heard.first().map(|one| one["execution_id"].as_str().unwrap_or_default().to_owned());
        let Some(told) = told else { return Err("nothing was heard".to_owned()) };
        let input = door.execution(&told).await["input"].clone();
        let fits = input["execution_id"] == json!(id) && input["status"] != "succeeded" && input["error"].is_object();
        if fits { Ok(()) } else { Err(input.to_string()) }
    })
    .await;
    wait::seen("the attempts and the end in the log", WHILE, async || {
        let lines = home.logs_of_trace(&trace);
        let count =
            |said: &str| lines.iter().filter(|line| line["message"].as_str().is_some_and(|m| m.contains(said))).count();
        let (again, ended) = (count("Attempt failed; another follows"), count("Execution ended without success"));
        let error = lines.iter().any(|line| line["level"] == "ERROR" && line.to_string().contains("limits.timeout"));
        if (again, ended, error) == (2, 1, true) { Ok(()) } else { Err(format!("{again} {ended} {error}: {lines:#?}")) }
    })
    .await;
    running.stop().await;
}

pub(super) async fn r5_5_work_is_spread_over_instances_and_nodes_within_their_bounds(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |_| Reply::text("done").held_by(&held));
    ground.home().agent("worker", &agent("worker", &model, "instances: 3\nconcurrency: 2"));
    let running = ground.start().await;
    let room = ground.workers() * 6;
    let mut given = Vec::new();
    for number in 0..room + 8 {
        given.push(running.door().submit("worker", &number.to_string()).await);
    }
    // All that there is room for is at work at once, and no more.
    wait::seen("every place to be taken", WHILE, async || {
        let calls = model.calls();
        if calls == room { Ok(()) } else { Err(format!("{calls} of {room} calls")) }
    })
    .await;
    wait::seen("each instance to have two", WHILE, async || {
        let mut by_instance: BTreeMap<String, usize> = BTreeMap::new();
        for place in running.door().places(|place| place["kind"] == "execution").await {
            let id = place["id"].as_str().unwrap_or_default().to_owned();
            *by_instance.entry(id.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or(id)).or_default() +=
                1;
        }
        let total: usize = by_instance.values().sum();
        // Places are named alike on each node.
        let even = by_instance.len() == 3 && by_instance.values().all(|count| *count == 2 * ground.workers());
        if even && total == room { Ok(()) } else { Err(format!("{by_instance:?}")) }
    })
    .await;
    assert_eq!(model.calls(), room, "nobody takes more than it may");
    gate.open();
    let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
    for id in &given {
        let ended = running.door().execution_is(id, &["succeeded"], WHILE).await;
        *nodes.entry(word(&ended, "node")).or_default() += 1;
    }
    assert_eq!(nodes.len(), ground.workers(), "{nodes:?}");
    running.stop().await;
}

/// In the embedded queue, and in every store's inbox (`higher_priority_comes_first_then_older`). RabbitMQ's quorum queues have no
/// priorities before 4.0.
pub(super) async fn r5_5_what_is_urgent_comes_first(ground: Ground) {
    let (model, gate) = (ModelServer::start().await, Gate::closed());
    let held = gate.clone();
    model.rule(move |asked| match asked.question().as_str() {
        "held" => Reply::text("done").held_by(&held),
        _ => Reply::text("done"),
    });
    ground.home().agent("worker", &agent("worker", &model, "instances: 1\nconcurrency: 1"));
    let running = ground.start().await;
    for _ in 0..ground.workers() {
        running.door().submit("worker", "held").await;
    }
    model.wait_for_calls(ground.workers()).await;
    let mut given = Vec::new();
    for (number, priority) in ["low", "normal", "high", "critical"].iter().cycle().take(16).enumerate() {
        let work = json!({ "input": format!("{priority} {number}"), "priority": priority });
        let answer = running.door().post("/v1/agents/worker/invoke", &work).await.expect(202);
        given.push(answer.str("/execution_id"));
    }
    wait::seen("all of it at the agent's queue or inbox", WHILE, async || {
        let pending = running.door().get("/v1/queues").await.expect(200).json;
        let queue =
            pending["items"].as_array().into_iter().flatten().find(|queue| queue["name"] == "agent.input.worker");
        let waits = queue.and_then(|queue| queue["ready"].as_u64()).unwrap_or_default();
        // What a node looks ahead is in its hands.
        if waits >= 12 { Ok(()) } else { Err(pending.to_string()) }
    })
    .await;
    gate.open();
    for id in &given {
        running.door().execution_is(id, &["succeeded"], WHILE).await;
    }
    let order: Vec<String> = model.asked().iter().map(|asked| asked.question()).filter(|said| said != "held").collect();
    let at = |word: &str| order.iter().position(|said| said.starts_with(word)).unwrap_or(usize::MAX);
    let mean = |word: &str| {
        let places: Vec<usize> =
            order.iter().enumerate().filter(|(_, said)| said.starts_with(word)).map(|(place, _)| place).collect();
        places.iter().sum::<usize>() as f64 / places.len() as f64
    };
    assert!(mean("critical") < mean("normal") && mean("high") < mean("low"), "{order:?} {}", at("critical"));
    running.stop().await;
}

//! The way of one event, from its door to its reply: a person types a slash command in Slack, an agent asks a model, uses
//! a tool, asks again, and answers. The numbers are the nine stations of ARCHITECTURE.md.

use serde_json::{Value, json};

use kit::{
    model::{ModelServer, Reply},
    node::Home,
    slack::Slack,
    wait,
};

use crate::cast::{SOON, agent};

#[tokio::test]
async fn a_slash_command_goes_all_nine_stations() {
    // Three peers on real sockets: a model, Slack, and (started by the node) a tool server.
    let (model, slack, home) = (ModelServer::start().await, Slack::start().await, Home::new());

    // The agent is a YAML file. It wakes for `/support` and may use the tools of one MCP server.
    let wakes_and_tools =
        format!("subscriptions: [slack.events.command.support]\ntools:\n{}", home.mcp_tool("idempotent"));
    home.agent("customer-support", &agent("customer-support", &model, &wakes_and_tools));

    // The model first asks for the tool; once it has read the tool's answer, it answers.
    model.rule(|asked| match asked.turn() {
        0 => Reply::tool("lookup_ticket", json!({"id": "42"})),
        _ => Reply::text(format!("I looked: {}.", asked.tool_results().join(", "))),
    });
    let node = home.launch().envs(slack.environment()).env("GREENROOM_LOG", "debug").start().await;

    // 1 door. Ada types `/support What about ticket 42?`. The signed request is verified, given a trace id, and answered.
    let posted = slack.command(&node, "/support", "What about ticket 42?").await;
    assert_eq!(posted.answer.status, 200, "Slack was answered: {}", posted.answer.text);

    // 9 reply. The story's end first, because nobody else has to be awaited then: the answer is at Ada's response_url.
    let reply = slack.reply(1, SOON).await;
    assert_eq!(reply.path, posted.reply_path);
    assert!(reply.text().contains("I looked: ticket 42 is open."), "Ada read: {}", reply.text());

    // 2 bus. The event went through the agent's own queue and was acknowledged: nothing is left there.
    let queues = node.get("/v1/queues").await.expect(200);
    let queue = find(&queues.json["items"], "name", "agent.input.customer-support");
    assert_eq!((&queue["ready"], &queue["unacknowledged"]), (&json!(0), &json!(0)), "{}", queues.text);

    // 3 inbox. The delivery became one execution, of the event that the door published.
    let executions = node.executions("customer-support").await;
    assert_eq!(executions.len(), 1, "one command, one execution: {executions:?}");
    let id = text(&executions[0], "execution_id");
    assert_eq!(executions[0]["event_type"], "slack.events.command.support");

    // 4 agent. Its supervised actor took the work, and is at ease again.
    let at_ease = node.agent_is("customer-support", &["idle", "running"], SOON).await;
    assert_eq!(at_ease["restarts"], 0);

    // 5 execution. One claim, one attempt, no crash.
    let execution = node.execution_is(&id, &["succeeded"], SOON).await;
    assert_eq!((&execution["attempt"], &execution["epoch"], &execution["crashes"]), (&json!(1), &json!(1), &json!(0)));

    // 6 step. Model, tool, model: each journaled, each really made, and made once.
    let steps: Vec<(String, String)> =
        array(&execution["steps"]).iter().map(|step| (text(step, "kind"), text(step, "status"))).collect();
    let settled = |kind: &str| (kind.to_owned(), "settled".to_owned());
    assert_eq!(steps, [settled("llm"), settled("tool"), settled("llm")]);
    assert_eq!(model.calls(), 2);
    assert_eq!(home.tool_calls(), [r#"lookup_ticket {"id":"42"}"#]);
    assert!(model.asked()[0].question().contains("What about ticket 42?"), "the model was asked Ada's question");

    // 7 state. The outcome was committed with the last step: what was answered is what the store holds.
    assert!(execution["output"].to_string().contains("ticket 42 is open"), "{execution}");
    assert!(execution["finished_at"].is_string());

    // 8 relay. Every row of the outbox has gone: nothing of this workflow is on its way any more.
    let trace_id = text(&execution, "trace_id");
    let trace = wait::seen("the outbox to be empty", SOON, async || {
        let trace = node.get(&format!("/v1/traces/{trace_id}")).await.expect(200);
        if trace.json["pending"] == json!([]) { Ok(trace.json) } else { Err(trace.text) }
    })
    .await;

    // And the thread through all of it: one trace id, made at the door, on the answer to Slack, on the execution, on the
    // trace with its steps, and on every log line of this work.
    assert_eq!(posted.answer.header("x-trace-id"), trace_id);
    assert_eq!(array(&trace["executions"]).len(), 1);
    assert_eq!(array(&trace["executions"][0]["steps"]).len(), 3);
    let lines = home.logs_of_trace(&trace_id);
    for room in ["greenroom_gateway", "greenroom_actors"] {
        assert!(lines.iter().any(|line| line.to_string().contains(room)), "no line of {room} in:\n{lines:#?}");
    }
    let of_this_work = |line: &&Value| line["execution_id"] == id.as_str();
    let without_trace: Vec<Value> =
        home.logs().iter().filter(of_this_work).filter(|line| line["trace_id"] != trace_id.as_str()).cloned().collect();
    assert!(without_trace.is_empty(), "lines of the work that lost its trace id: {without_trace:#?}");
}

fn find<'a>(items: &'a Value, field: &str, value: &str) -> &'a Value {
    let found = array(items).iter().find(|item| item[field] == value);
    found.unwrap_or_else(|| panic!("nothing with {field} = {value} in {items}"))
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("not a list: {value}"))
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().map(str::to_owned).unwrap_or_else(|| panic!("no {field} in {value}"))
}

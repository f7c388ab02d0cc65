//! What a run keeps to: the form of outputs, its budget, and prompts that long outputs do not fill (R4.2, R4.7).

use kit::model::{Asked, Reply};
use serde_json::{Value, json};

use super::ground::{begin, lead, others, play, run_is};
use crate::stand::{Stand, on_both};

on_both! {
    an_output_without_its_form_is_given_back_with_what_is_wrong
    a_result_has_the_form_that_is_wanted_or_the_run_fails
    a_run_s_own_model_calls_are_in_its_budget
    a_long_output_is_told_by_a_summary_and_read_where_it_is
}

/// A price of ten dollars a million: 1000 tokens are a cent.
fn priced(file: &str) -> String {
    file.replacen("\"}", "\", price: {input: 10, output: 10}, max_tokens: 100}", 1)
}

async fn an_output_without_its_form_is_given_back_with_what_is_wrong(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    home.agent("lead", &lead(model, ""));
    model.rule(|asked| match asked.question() {
        question if question.contains("never") => Reply::text("{\"n\": \"many\"}"),
        question if question.contains("is not of type \"integer\"") => Reply::text("{\"n\": 3}"),
        question if question.starts_with("Count") => Reply::text("{\"n\": \"three\"}"),
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let plan = |task: &str| {
        let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        json!({ "steps": [
            { "agent": "scout", "task": task, "output": "$count", "structured_output_schema": schema },
            { "agent": "writer", "task": "Write on", "output": "$text", "inputs": ["$count"], "condition": "$count.n == 3" },
        ]})
    };
    let id = begin(&node, json!({ "task": "Try", "plan": plan("Count it") })).await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!((&run["steps"][0]["output"], &run["steps"][0]["tries"]), (&json!({ "n": 3 }), &json!(2)), "{run}");
    assert_eq!(run["output"], "[Write: {\"n\":3}]");
    let again = model.asked()[1].question();
    assert!(again.contains("{\"n\": \"three\"}") && again.contains("/n: "), "{again}");

    let id = begin(&node, json!({ "task": "Try", "plan": plan("Count what never ends") })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["error"]["code"], &run["steps"][0]["tries"]), (&json!("bad_output"), &json!(3)), "{run}");
    let why = run["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("3 answers") && why.contains("/n: \"many\""), "{why}");
    // A schema that is none is refused by the door.
    let wrong = json!({ "steps": [{ "agent": "scout", "task": "x", "output": "$a", "structured_output_schema": { "type": "x" } }] });
    let refused = node.post("/v1/tasks", &json!({ "task": "Go", "plan": wrong })).await.expect(422);
    assert!(refused.text.contains("is no JSON Schema"), "{}", refused.text);
    assert!(node.stop().await.success());
}

async fn a_result_has_the_form_that_is_wanted_or_the_run_fails(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let steps = "  plan: {steps: [{agent: scout, task: Find facts, output: $facts}]}\n";
    let form = "  structured_output_schema: {type: object, required: [title]}\n";
    home.agent("lead", &lead(model, &format!("{steps}{form}  result: model\n")));
    home.agent("last", &lead(model, &format!("{steps}{form}")).replace("name: lead", "name: last"));
    model.rule(|asked| match asked.question() {
        question if question.contains("hopeless") => Reply::text("{}"),
        // The first answer of the model, and what its provider's layer makes of that.
        question if !question.contains("\"found\"") && !question.contains("does not fit") => play(asked),
        question if question.contains("your_last_answer") => Reply::text("{\"title\": \"Facts\"}"),
        _ => Reply::text("{}"),
    });
    let node = stand.launch().start().await;
    let id = node.submit("lead", "Go").await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["output"], json!({ "title": "Facts" }), "{run}");
    let id = node.submit("last", "Go").await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!(run["error"]["code"], "bad_output", "{run}");
    assert!(run["error"]["message"].as_str().unwrap_or_default().contains("no JSON"), "{run}");
    // The task's own form counts instead.
    let text = json!({ "agent": "last", "task": "Go", "structured_output_schema": { "type": "string" } });
    let id = begin(&node, text).await;
    assert_eq!(run_is(&node, &id, "succeeded").await["output"], "[Find: Find facts]");
    assert!(node.stop().await.success());
}

async fn a_run_s_own_model_calls_are_in_its_budget(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let plan = "  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: writer, task: Write it, output: $text, condition: \"the facts in $facts are good\"}\n    \
        - {agent: critic, task: Judge it, output: $word, condition: \"the text in $text is good\"}\n";
    home.agent("lead", &priced(&lead(model, plan)));
    model.rule(|asked| match asked.question().contains("\"condition\"") {
        // Twenty cents for a judgement, which may cost nearly as much for its mending.
        true => Reply::text(json!({ "decision": "CONTINUE", "reason": "so it is" }).to_string()).tokens(20_000, 0),
        false => play(asked),
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "task": "Try" })).await;
    let run = run_is(&node, &id, "succeeded").await;
    assert_eq!(run["cost_usd"], json!(0.4), "{run}");
    // The first judgement still fits; before the second it is clear that it may not.
    let id = begin(&node, json!({ "task": "Try", "max_cost_usd": 0.35 })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["error"]["code"], &run["cost_usd"]), (&json!("budget_exhausted"), &json!(0.2)), "{run}");
    let why = run["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains("the call can cost") && why.contains("may cost $0.350000"), "{why}");
    assert_eq!((&run["steps"][1]["status"], &run["steps"][2]["status"]), (&json!("succeeded"), &json!("pending")));
    assert_eq!(model.calls(), 5 + 3, "nobody was asked beyond the budget");
    // A plan is not even made where the money does not reach for it.
    home.agent("poor", &priced(&lead(model, "  max_cost_usd: 0.0001\n")).replace("name: lead", "name: poor"));
    node.agent_is("poor", &["idle", "running"], crate::cast::SOON).await;
    let id = begin(&node, json!({ "agent": "poor", "task": "Try" })).await;
    let run = run_is(&node, &id, "failed").await;
    assert_eq!((&run["error"]["code"], model.calls()), (&json!("budget_exhausted"), 8), "{run}");
    assert!(node.stop().await.success());
}

/// The summary is made once for all who are told, and the end of the output is found where only the whole has it.
async fn a_long_output_is_told_by_a_summary_and_read_where_it_is(stand: Stand) {
    let (home, model) = (&stand.home, &stand.model);
    others(home, model);
    let plan = "  whole_up_to: 1000\n  plan:\n    steps:\n    \
        - {agent: scout, task: Find facts, output: $facts}\n    \
        - {agent: writer, task: Write it, inputs: [$facts], output: $text}\n    \
        - {agent: critic, task: Judge it, inputs: [$facts, $text], output: $word}\n";
    home.agent("lead", &priced(&lead(model, plan)));
    model.rule(|asked| match asked.question() {
        question if question == "Find facts" => Reply::text(long()),
        question if question.contains("# The next piece") => Reply::text("FACTS IN SHORT").tokens(1000, 0),
        question if question.starts_with("Write it") => match asked.turn() {
            0 => Reply::tool("read_output", json!({ "output": "$facts", "from": 30_000 })),
            _ => {
                let page = asked.tool_results().concat();
                Reply::text(format!("It ends {}", &page[page.len().saturating_sub(60)..]))
            }
        },
        _ => play(asked),
    });
    let node = stand.launch().start().await;
    let id = begin(&node, json!({ "agent": "lead", "task": "Go" })).await;
    let run = run_is(&node, &id, "succeeded").await;
    let text = run["steps"][1]["output"].as_str().unwrap_or_default();
    assert!(text.contains("xxx THE END") && text.contains("[characters 30000 to 40007 of 40007]"), "{text:.200}");
    let (first, summaries) = (&run["steps"][0], model.asked().iter().filter(|asked| is_summary(asked)).count());
    assert_eq!(
        (&first["output"], &first["output_chars"], &first["summary"]),
        (&Value::Null, &json!(40_007), &json!("FACTS IN SHORT")),
        "{first}"
    );
    assert_eq!((summaries, &run["cost_usd"]), (2, &json!(0.02)), "one call for each piece, once for both steps");
    let critic = model.asked().iter().map(Asked::question).find(|asked| asked.starts_with("Judge")).unwrap_or_default();
    assert!(
        critic.contains("[a summary of 40007 characters; read the whole with the tool read_output")
            && critic.contains("FACTS IN SHORT")
    );
    assert!(critic.len() < 2_000, "the whole does not stand in the prompt: {} bytes", critic.len());
    let child = first["execution_id"].as_str().unwrap_or_default();
    assert_eq!(node.execution(child).await["output"], long(), "it is kept whole with its execution");
    let shown = stand.launch().run(&["plans", "show", &id]).await.ok();
    assert!(shown.stdout.contains("$facts = [40007 characters: FACTS IN SHORT]"), "{}", shown.stdout);

    // Who goes on from there has the whole, too.
    let fork = node.post(&format!("/v1/plans/{id}/retry"), &json!({ "from": "$text" })).await.expect(202).json;
    let fork = run_is(&node, fork["plan_run_id"].as_str().unwrap_or_default(), "succeeded").await;
    assert_eq!(
        (&fork["steps"][0]["kept"], &fork["steps"][0]["output_chars"]),
        (&json!(true), &json!(40_007)),
        "{fork}"
    );
    assert_eq!(fork["steps"][1]["output"], text, "it is read where it is");
    assert!(node.stop().await.success());
}

fn long() -> String {
    format!("{} THE END", "x".repeat(39_999))
}

fn is_summary(asked: &Asked) -> bool {
    asked.question().contains("# The next piece")
}

//! A coordinator and those whom it has.

use kit::{
    model::{Asked, ModelServer, Reply},
    node::{Home, Node},
    wait,
};
use serde_json::{Value, json};

use crate::cast::{SOON, agent};

/// The coordinator `lead` of three agents; `collaboration` are further lines of that section, indented by two.
pub(super) fn lead(model: &ModelServer, collaboration: &str) -> String {
    format!(
        "name: lead\nagent_type: test\nexecution_mode: collaborative\n\
         llm_config: {{provider: openai-compatible, model: kit-model, base_url: \"{}\"}}\n\
         collaboration:\n  agents: [scout, writer, critic]\n{collaboration}",
        model.url()
    )
}

/// The three agents. The critic may ask people.
pub(super) fn others(home: &Home, model: &ModelServer) {
    for (name, more) in [
        ("scout", "description: Looks things up"),
        ("writer", "description: Writes"),
        ("critic", "description: Judges\ntools: [{builtin: ask_human}]"),
    ] {
        home.agent(name, &agent(name, model, &format!("{more}\nlimits: {{max_attempts: 1}}")));
    }
}

/// Answers with the first word of the task and the last line of what was given.
pub(super) fn play(asked: &Asked) -> Reply {
    let question = asked.question();
    let word = question.split_whitespace().next().unwrap_or_default();
    Reply::text(format!("[{word}: {}]", question.lines().last().unwrap_or_default()))
}

/// Gives a coordinator a task, and returns the run's id.
pub(super) async fn begin(node: &Node, task: Value) -> String {
    let taken = node.post("/v1/tasks", &task).await.expect(202).json;
    taken["plan_run_id"].as_str().unwrap_or_default().to_owned()
}

/// The run, once it is so.
pub(super) async fn run_is(node: &Node, id: &str, status: &str) -> Value {
    wait::seen(&format!("the run {id} to be {status}"), SOON, async || {
        let run = node.get(&format!("/v1/plans/{id}")).await.expect(200).json;
        if run["status"] == status { Ok(run) } else { Err(run) }
    })
    .await
}

/// The open questions, once there are so many.
pub(super) async fn questions(node: &Node, number: usize) -> Vec<Value> {
    wait::seen(&format!("{number} open questions"), SOON, async || {
        let list = node.get("/v1/clarifications?status=open").await.expect(200).json;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        if items.len() == number { Ok(items) } else { Err(list) }
    })
    .await
}

/// Answers a question.
pub(super) async fn say(node: &Node, question: &Value, answer: Value) {
    let id = question["clarification_id"].as_str().unwrap_or_default();
    node.post(&format!("/v1/clarifications/{id}/answer"), &json!({ "answer": answer, "by": "ann" })).await.expect(200);
}

//! Agents come, change and go with their files, without a restart and without disturbing the others.

use std::{
    fs,
    time::{Duration, Instant},
};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    wait,
};

use crate::cast::{SOON, agent, saying};

/// What is promised of a change to a file.
const A_SECOND: Duration = Duration::from_secs(1);
const AT_WORK: &[&str] = &["idle", "running"];

#[tokio::test]
async fn a_new_file_is_a_running_agent_within_a_second() {
    let home = Home::new();
    home.agent("first", &saying("first", "one"));
    let node = home.launch().start().await;
    home.agent("second", &saying("second", "two"));
    node.agent_is("second", AT_WORK, A_SECOND).await;
    assert_eq!(output(&node, "second").await, "two");
    assert_eq!(output(&node, "first").await, "one");
}

#[tokio::test]
async fn a_changed_file_is_the_new_agent_within_a_second() {
    let home = Home::new();
    home.agent("one", &saying("one", "old"));
    let node = home.launch().start().await;
    let before = node.agent("one").await["version"].clone();
    assert_eq!(output(&node, "one").await, "old");

    let saved = Instant::now();
    home.agent("one", &saying("one", "new"));
    wait::seen("the agent to have another version", A_SECOND, async || {
        let agent = node.agent("one").await;
        if agent["version"] != before && AT_WORK.iter().any(|s| agent["status"] == *s) { Ok(()) } else { Err(agent) }
    })
    .await;
    assert_eq!(output(&node, "one").await, "new", "{:?} after the file was saved", saved.elapsed());
    assert_eq!(node.agent("one").await["restarts"], 0, "a reload does not count against the budget");
}

#[tokio::test]
async fn a_file_that_is_saved_in_place_is_taken_too() {
    let home = Home::new();
    home.agent("one", &saying("one", "old"));
    let node = home.launch().start().await;
    // Not by rename: some editors write the file itself.
    let written = fs::write(home.agents().join("one.yaml"), saying("one", "in place"));
    assert!(written.is_ok());
    wait::until("the agent to say the new words", A_SECOND, async || output(&node, "one").await == "in place").await;
}

#[tokio::test]
async fn a_broken_file_is_refused_with_its_line_and_the_last_good_one_stays() {
    let home = Home::new();
    home.agent("good", &saying("good", "fine")).agent("other", &saying("other", "untouched"));
    let node = home.launch().start().await;

    // Line 3 of the file has a misspelt key.
    let broken = saying("good", "never").replace("execution_mode:", "execution_mod:");
    home.agent("good", &broken);
    let refusal = wait::seen("the log to refuse the file", A_SECOND * 5, async || {
        let lines = home.logs();
        let refusal = lines.iter().map(ToString::to_string).find(|line| line.contains("execution_mod"));
        refusal.ok_or_else(|| format!("{} lines, none of it", lines.len()))
    })
    .await;
    assert!(refusal.contains("good.yaml:3:1"), "it names the file, the line and the column: {refusal}");
    assert!(refusal.contains("execution_mode"), "it suggests the right key: {refusal}");
    assert_eq!(output(&node, "good").await, "fine", "the last good version goes on");
    assert_eq!(output(&node, "other").await, "untouched");

    // Mended, it is taken.
    home.agent("good", &saying("good", "better"));
    wait::until("the mended file to be taken", A_SECOND, async || output(&node, "good").await == "better").await;
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_disturbs_no_one() {
    let home = Home::new();
    home.agent("good", &saying("good", "fine")).agent("bad", "name: [\n").agent("binary", "\u{1}\u{2}");
    let node = home.launch().agents(1).start().await;
    assert_eq!(output(&node, "good").await, "fine");
    home.agent("bad", &saying("bad", "mended"));
    node.agent_is("bad", AT_WORK, A_SECOND).await;
}

#[tokio::test]
async fn a_removed_file_stops_its_agent_after_its_work() {
    let (model, home, gate) = (ModelServer::start().await, Home::new(), Gate::closed());
    model.rule({
        let gate = gate.clone();
        move |_| Reply::text("finished my work").held_by(&gate)
    });
    home.agent("leaving", &agent("leaving", &model, "")).agent("staying", &saying("staying", "here"));
    let node = home.launch().start().await;
    let id = node.submit("leaving", "one last thing").await;
    model.wait_for_calls(1).await;

    home.remove_agent("leaving");
    // It takes no more work, and what it does it may finish.
    wait::seen("the agent to take no more work", A_SECOND * 2, async || {
        let body = serde_json::json!({"input": "more"});
        let answer = node.post("/v1/agents/leaving/invoke", &body).await;
        if [404, 409].contains(&answer.status) { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
    })
    .await;
    assert_eq!(node.execution(&id).await["status"], "running", "the work in hand goes on");
    gate.open();
    let execution = node.execution_is(&id, &["succeeded"], SOON).await;
    assert!(execution["output"].to_string().contains("finished my work"));
    wait::seen("the agent to be gone", SOON, async || {
        let agent = node.agent("leaving").await;
        if agent.is_null() || agent["status"] == "stopped" { Ok(()) } else { Err(agent) }
    })
    .await;
    assert_eq!(output(&node, "staying").await, "here");
}

#[tokio::test]
async fn a_renamed_agent_is_another_agent() {
    let home = Home::new();
    home.agent("before", &saying("before", "me"));
    let node = home.launch().start().await;
    let renamed = fs::rename(home.agents().join("before.yaml"), home.agents().join("after.yaml"));
    assert!(renamed.is_ok());
    home.agent("after", &saying("after", "still me"));
    node.agent_is("after", AT_WORK, A_SECOND).await;
    wait::seen("the old name to be gone", A_SECOND, async || {
        let agent = node.agent("before").await;
        if agent.is_null() || agent["status"] == "stopped" { Ok(()) } else { Err(agent) }
    })
    .await;
}

#[tokio::test]
async fn two_files_with_one_name_are_a_mistake_that_names_both() {
    let home = Home::new();
    home.agent("one", &saying("same", "first"));
    let node = home.launch().start().await;
    home.agent("two", &saying("same", "second"));
    wait::seen("the log to name the other file", A_SECOND * 5, async || {
        let logs = home.logs();
        let named = logs.iter().map(ToString::to_string).any(|l| l.contains("two.yaml") && l.contains("one.yaml"));
        if named { Ok(()) } else { Err(format!("{} lines, none of it", logs.len())) }
    })
    .await;
    assert_eq!(output(&node, "same").await, "first", "the first one goes on");
}

async fn output(node: &Node, agent: &str) -> String {
    let answer = node.ask(agent, "hello").await;
    answer.json["output"].as_str().map_or_else(|| answer.json["output"].to_string(), str::to_owned)
}

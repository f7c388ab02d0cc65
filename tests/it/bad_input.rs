//! Input and surroundings of every wrong kind: a clear error that names the place and the remedy, and a failing exit code.

use std::fs;

use serde_json::json;

use kit::node::{Finished, Home};

use crate::cast::{SOON, agent_at, saying};

#[tokio::test]
async fn yaml_of_every_wrong_kind_is_refused_with_its_line() {
    let good = "name: a\nagent_type: t\nexecution_mode: autonomous\nllm_config: {provider: scripted}\n";
    let wrongs: [(&str, String, &str); 10] = [
        ("a misspelt key", good.replace("agent_type", "agent_typ"), "a.yaml:2:"),
        ("a missing key", good.replace("agent_type: t\n", ""), "agent_type"),
        ("a word that is not one of a few", good.replace("autonomous", "autonomos"), "a.yaml:3:"),
        ("a number out of its range", format!("{good}instances: 400\n"), "a.yaml:5:"),
        ("a text where a number belongs", format!("{good}instances: many\n"), "a.yaml:5:"),
        ("a duration without a unit", format!("{good}limits: {{timeout: 30}}\n"), "a.yaml:5:"),
        ("a key twice", format!("{good}name: b\n"), "a.yaml:5:"),
        ("broken YAML", format!("{good}tools: [\n"), "a.yaml:"),
        ("a name with forbidden letters", good.replace("name: a", "name: A b"), "a.yaml:1:"),
        ("an empty file", String::new(), "a.yaml"),
    ];
    for (what, yaml, place) in wrongs {
        let home = Home::new();
        home.agent("a", &yaml);
        let checked = home.launch().run(&["check"]).await.refused();
        let said = flat(&checked);
        assert!(said.contains(place), "{what}: it does not name {place}:\n{}", checked.all());
    }
}

#[tokio::test]
async fn check_shows_the_excerpt_and_the_right_key() {
    let home = Home::new();
    home.agent("fine", &saying("fine", "hi"));
    home.agent("a", "name: a\nagent_type: t\nexecution_mod: autonomous\nllm_config: {provider: scripted}\n");
    let checked = home.launch().run(&["check"]).await.refused();
    let said = checked.all();
    assert!(said.contains("execution_mod: autonomous"), "the line itself is shown:\n{said}");
    assert!(said.contains("execution_mode"), "the right key is suggested:\n{said}");
    home.remove_agent("a");
    home.launch().run(&["check"]).await.ok();
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_named_with_the_remedy() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    // A file where the folder should be: that stops even root, whom permissions do not stop.
    let written = fs::write(home.data(), "not a folder");
    assert!(written.is_ok());
    let finished = home.launch().run(&["up"]).await.refused();
    assert!(flat(&finished).contains(&home.data().display().to_string()), "{}", finished.all());

    // Nor one under /proc, where nobody can make a folder.
    let finished = home.launch().env("GREENROOM_DATA_DIR", "/proc/greenroom").run(&["up"]).await.refused();
    assert!(flat(&finished).contains("/proc/greenroom"), "{}", finished.all());
}

#[tokio::test]
async fn two_nodes_never_share_a_data_folder() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let second = home.launch().run(&["up"]).await.refused();
    let said = flat(&second);
    assert!(said.contains(&home.data().display().to_string()), "it names the folder:\n{}", second.all());
    assert_eq!(node.ask("calm", "still there?").await.json["output"], "calm", "the first one is undisturbed");
}

#[tokio::test]
async fn variables_that_cannot_be_meant_are_named() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    for (name, value) in [
        ("GREENROOM_HTTP_ADDR", "somewhere"),
        ("GREENROOM_HTTP_ADDR", "127.0.0.1:99999"),
        ("GREENROOM_LOG", "greenroom=shouting"),
        ("OPENAI_BASE_URL", "not an address"),
        ("SLACK_SIGNING_SECRET_FILE", "/nowhere/secret"),
    ] {
        let finished = home.launch().env(name, value).run(&["up"]).await.refused();
        assert!(finished.all().contains(name), "{name}={value}:\n{}", finished.all());
    }
}

#[tokio::test]
async fn another_address_than_loopback_wants_a_token() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    let finished = home.launch().env("GREENROOM_HTTP_ADDR", "0.0.0.0:0").run(&["up"]).await.refused();
    assert!(finished.all().contains("GREENROOM_API_TOKEN"), "{}", finished.all());
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let (home, other) = (Home::new(), Home::new());
    home.agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let finished = other.launch().env("GREENROOM_HTTP_ADDR", &node.address).run(&["up"]).await.refused();
    assert!(finished.all().contains(&node.address), "{}", finished.all());
}

#[tokio::test]
async fn a_configuration_folder_that_is_not_there_is_named_with_the_remedy() {
    let home = Home::new();
    let finished = home.launch().env("GREENROOM_CONFIG_DIR", "/nowhere").run(&["check"]).await.refused();
    assert!(finished.all().contains("/nowhere"), "{}", finished.all());
    assert!(finished.all().contains("greenroom init"), "{}", finished.all());
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_is_told_of_and_the_event_is_kept() {
    let home = Home::new();
    // Port 9 discards; nobody listens there.
    home.agent("lost", &agent_at("lost", "http://127.0.0.1:9/v1", "limits: {max_attempts: 1}"));
    let node = home.launch().start().await;
    let answer = node.ask("lost", "anyone?").await;
    assert!(["failed", "dead"].contains(&answer.str("/status").as_str()), "{}", answer.text);
    assert!(answer.json["error"].to_string().contains("127.0.0.1:9"), "the address is named: {}", answer.text);
    let letters = node.get("/v1/dead-letters?agent=lost").await.expect(200);
    assert_eq!(letters.json["items"][0]["execution_id"], answer.json["execution_id"], "{}", letters.text);

    let said =
        home.launch().env("GREENROOM_HTTP_ADDR", &node.address).run(&["invoke", "lost", "anyone?"]).await.refused();
    assert_eq!(said.stdout.trim(), "", "there is no answer to print");
    assert!(said.stderr.contains("127.0.0.1:9"), "{}", said.stderr);
}

#[tokio::test]
async fn a_model_that_comes_back_in_time_answers_the_same_attempt() {
    use kit::model::{ModelServer, Reply};
    let (model, home) = (ModelServer::start().await, Home::new());
    model.then(Reply::status(503, "overloaded")).then(Reply::text("here I am"));
    home.agent("patient", &agent_at("patient", &model.url(), "limits: {max_attempts: 1}"));
    let node = home.launch().start().await;
    let answer = node.ask("patient", "anyone?").await;
    assert_eq!(answer.json["output"], "here I am", "{}", answer.text);
    assert_eq!(model.calls(), 2);
    let listed = node.get("/v1/dead-letters").await.expect(200);
    assert_eq!(listed.json["items"], json!([]));
    node.agent_is("patient", &["idle", "running"], SOON).await;
}

/// What was said, without line breaks: reports wrap long paths at the width of a terminal.
fn flat(finished: &Finished) -> String {
    let unframed: String = finished.all().chars().filter(|c| !matches!(c, '│' | '·' | '╭' | '╰' | '─' | '×')).collect();
    let joined: String = unframed.lines().map(str::trim).collect();
    format!("{}\n{joined}", finished.all())
}

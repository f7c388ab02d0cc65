//! The command line: answers on stdout, everything else on stderr, and exit codes that can be relied on.

use serde_json::Value;

use kit::{
    node::{Finished, Home, Node},
    wait,
};

use crate::cast::{SOON, saying, scripted};

/// Runs a command against a node, as a person in a second terminal would.
async fn greenroom(home: &Home, node: &Node, arguments: &[&str]) -> Finished {
    home.launch().env("GREENROOM_HTTP_ADDR", &node.address).run(arguments).await
}

#[tokio::test]
async fn up_says_what_to_type_next() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let node = home.launch().start().await;
    let said = node.process.stdout() + &node.process.stderr();
    assert!(said.contains("greenroom invoke"), "{said}");
    assert!(said.contains(&node.address), "{said}");
}

#[tokio::test]
async fn logs_of_up_are_json_lines_on_stdout() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let node = home.launch().start().await;
    node.ask("echo", "hello").await;
    let printed = node.process.stdout();
    assert!(printed.lines().count() > 0, "there is a log");
    for line in printed.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        let line = parsed.unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "no {field} in {line}");
        }
    }
}

#[tokio::test]
async fn invoke_prints_the_answer_and_nothing_else_on_stdout() {
    let home = Home::new();
    home.agent("echo", &scripted("echo", r#"[{reply: "You said {input}"}]"#, ""));
    let node = home.launch().start().await;
    let finished = greenroom(&home, &node, &["invoke", "echo", "hello there"]).await.ok();
    assert_eq!(finished.stdout.trim_end(), "You said hello there");
    assert!(finished.stderr.contains("trace"), "the way to the log is shown:\n{}", finished.stderr);

    let json = greenroom(&home, &node, &["invoke", "--json", "echo", "hello"]).await.ok();
    let parsed: Value = serde_json::from_str(&json.stdout).unwrap_or_default();
    assert_eq!(parsed["output"], "You said hello", "{}", json.all());
    assert_eq!(parsed["status"], "succeeded");
}

#[tokio::test]
async fn the_command_line_finds_the_node_of_its_data_folder() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "found"));
    let _node = home.launch().start().await;
    // No address is given: the node wrote it into its data folder.
    let finished = home.launch().without("GREENROOM_HTTP_ADDR").run(&["invoke", "echo", "where are you?"]).await.ok();
    assert_eq!(finished.stdout.trim_end(), "found");
}

#[tokio::test]
async fn tree_and_ps_show_every_agent() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi")).agent("other", &saying("other", "ho"));
    let node = home.launch().start().await;
    for command in ["tree", "ps"] {
        let shown = greenroom(&home, &node, &[command]).await.ok().stdout;
        assert!(shown.contains("echo") && shown.contains("other"), "{command}:\n{shown}");
        assert!(!shown.contains('\u{1b}'), "no colours where nobody asked for them:\n{shown:?}");
        let json = greenroom(&home, &node, &[command, "--json"]).await.ok().stdout;
        let parsed: Result<Value, _> = serde_json::from_str(&json);
        assert!(parsed.is_ok(), "{command} --json:\n{json}");
    }
}

#[tokio::test]
async fn logs_shows_one_workflow_from_door_to_reply() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let node = home.launch().start().await;
    let (mine, other) = (node.ask("echo", "mine").await, node.ask("echo", "other").await);
    let (mine, other) = (mine.str("/trace_id"), other.str("/trace_id"));
    let lines = wait::seen("the log of the workflow", SOON, async || {
        let shown = greenroom(&home, &node, &["logs", "--trace", &mine, "--json"]).await.ok().stdout;
        if shown.lines().count() >= 2 { Ok(shown) } else { Err(shown) }
    })
    .await;
    assert!(lines.lines().all(|line| line.contains(&mine)), "{lines}");
    assert!(!lines.contains(&other), "{lines}");
    // For people, and with the beginning of the id only.
    let shown = greenroom(&home, &node, &["logs", "--trace", &mine[..16]]).await.ok().stdout;
    assert!(shown.lines().count() >= 2, "{shown}");
}

#[tokio::test]
async fn commands_that_cannot_be_done_fail_and_say_why() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let node = home.launch().start().await;
    let nobody = greenroom(&home, &node, &["invoke", "eco", "hello"]).await.refused();
    assert!(nobody.stderr.contains("eco"), "{}", nobody.stderr);
    assert_eq!(nobody.stdout, "");
    let wrong = greenroom(&home, &node, &["invok", "echo", "hello"]).await.refused();
    assert_eq!(wrong.code, Some(2), "usage is 2: {}", wrong.all());
    assert!(wrong.stderr.contains("invoke"), "it suggests the verb: {}", wrong.stderr);
    node.stop().await;

    let other = Home::new();
    let alone = other.launch().env("GREENROOM_HTTP_ADDR", "127.0.0.1:9").run(&["ps"]).await.refused();
    assert!(alone.stderr.contains("greenroom up"), "no node: it says how to start one: {}", alone.stderr);
}

#[tokio::test]
async fn init_makes_a_home_that_runs() {
    let home = Home::new();
    home.launch().run(&["init", "demo"]).await.ok();
    let demo = home.path().join("demo");
    let agents = demo.join("config/agents");
    let files = std::fs::read_dir(&agents).map(Iterator::count).unwrap_or_default();
    assert!(files > 0, "{} holds agents", agents.display());
    home.launch().env("GREENROOM_CONFIG_DIR", demo.join("config").display().to_string()).run(&["check"]).await.ok();
    // What is there is never overwritten.
    let mine = agents.join("mine.yaml");
    assert!(std::fs::write(&mine, saying("mine", "mine")).is_ok());
    home.launch().run(&["init", "demo"]).await;
    assert!(mine.exists());
}

#[tokio::test]
async fn doctor_names_what_is_missing_and_the_remedy() {
    let home = Home::new();
    home.agent("echo", &saying("echo", "hi"));
    let bare = || home.launch().without("OPENAI_API_KEY");
    let finished = bare().run(&["doctor"]).await;
    let said = finished.all();
    assert!(said.contains("SLACK_SIGNING_SECRET"), "{said}");
    assert!(said.contains("no model") && said.contains("ANTHROPIC_API_KEY, OPENAI_API_KEY"), "{said}");
    for (name, value) in [("ANTHROPIC_API_KEY", "sk-doctor"), ("OPENAI_API_KEY", "sk-doctor"), ("OLLAMA_HOST", "box:1")]
    {
        let said = bare().env(name, value).run(&["doctor"]).await.all();
        assert!(said.contains(name) && !said.contains("no model") && !said.contains("sk-doctor"), "{said}");
    }
    let wrong = std::fs::write(home.path().join("config/providers.yaml"), "limits: [\n");
    assert!(wrong.is_ok());
    let said = home.launch().run(&["doctor"]).await.all();
    assert!(said.contains("✗") && said.contains("providers.yaml"), "{said}");
}

#[tokio::test]
async fn help_and_version_are_there() {
    let home = Home::new();
    let help = home.launch().run(&["--help"]).await.ok().stdout;
    for verb in ["up", "check", "invoke", "tree", "ps", "logs", "init", "doctor"] {
        assert!(help.contains(verb), "{help}");
    }
    assert!(home.launch().run(&["--version"]).await.ok().stdout.contains("greenroom"));
}

//! One agent's file, its provider changed: in a whole node it answers with a tool's answer, over every wire.

use std::time::Duration;

use kit::{
    node::Home,
    vendor::{Block, Exchange, Vendor},
};
use serde_json::{Value, json};

use super::{subject::Subject, subjects};

/// How long a model may be silent, and by how much the whole answer takes longer: who does not stream is ended.
const SILENCE: &str = "1s";
const PACE: Duration = Duration::from_millis(300);
const PIECES: [&str; 8] = ["Ticket ", "7 ", "is ", "open, ", "as ", "the ", "tool ", "says."];

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_answers_with_a_tool_over_every_wire() {
    for subject in subjects::all() {
        play(subject).await;
    }
}

async fn play(subject: Subject) {
    let (vendor, home) = (Vendor::start(subject.dialect.clone()).await, Home::new());
    let wire = subject.dialect.name();
    let mut model: Value = (subject.config)(&vendor.url());
    if model["provider"] == "openai-compatible" {
        // A file has to say where such a server is.
        model["base_url"] = json!(format!("{}/v1", vendor.url()));
        model["api_key_env"] = json!("OPENAI_API_KEY");
    }
    // What is JSON is YAML, too.
    let yaml = format!(
        "name: clerk\nagent_type: test\nexecution_mode: autonomous\nsystem_prompt: You look tickets up.\n\
         llm_config: {model}\nlimits: {{silence: {SILENCE}, max_attempts: 1}}\ntools:\n{}\n",
        home.mcp_tool("none")
    );
    home.agent("clerk", &yaml);
    let arguments = ["{\"id\"", ": \"7\"}"];
    vendor.then(Exchange::tool("call_1", "lookup_ticket", &arguments));
    vendor.then(Exchange::text(&PIECES).dripping(PACE));
    let env = (subject.env)(&vendor.url()).into_iter().map(|(name, value)| (name.to_owned(), value));
    let node = home.launch().without("OPENAI_API_KEY").envs(env).start().await;

    let answer = node.ask("clerk", "How is ticket 7?").await.expect(200).json;
    assert_eq!(
        (&answer["status"], &answer["output"]),
        (&json!("succeeded"), &json!(PIECES.concat())),
        "{wire}: {answer}"
    );
    let steps = answer["steps"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<_> = steps.iter().map(|step| step["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["llm", "tool", "llm"], "{wire}");
    assert_eq!(vendor.attempts(), 2, "{wire}: asked twice, and not once more");
    assert_eq!(home.tool_calls(), [r#"lookup_ticket {"id":"7"}"#], "{wire}");
    let heard = vendor.heard().pop().unwrap_or_default();
    assert_eq!(heard.system, "You look tickets up.", "{wire}");
    assert!(heard.tools.contains(&"lookup_ticket".to_owned()), "{wire}: {:?}", heard.tools);
    let results: Vec<&str> = heard.results.iter().map(|(_, result)| result.as_str()).collect();
    assert_eq!(results, ["ticket 7 is open"], "{wire}");
    let came_back = |block: &Block| matches!(block, Block::Tool { name, .. } if name == "lookup_ticket");
    assert!(heard.replayed.iter().any(came_back), "{wire}: {:?}", heard.replayed);
    // Where the wire tells tokens and the model has a price, both are counted.
    let tokens: u64 = steps.iter().filter_map(|step| step["usage"]["output"].as_u64()).sum();
    assert_eq!(tokens, 20, "{wire}: {answer}");
    assert_eq!(answer["cost_usd"].is_number(), subject.nanodollars.is_some(), "{wire}: {}", answer["cost_usd"]);
    assert!(node.stop().await.success(), "{wire}");
}

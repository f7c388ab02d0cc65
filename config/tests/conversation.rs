//! What is said of a `conversation` that makes no sense.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::path::Path;

use greenroom_config::{parse, spec::ConversationPolicy};

fn text(mode: &str, rest: &str) -> String {
    format!("name: x\nagent_type: t\nexecution_mode: {mode}\nllm_config: {{provider: auto}}\n{rest}\n")
}

fn warned(mode: &str, rest: &str) -> Vec<String> {
    let found = parse(Path::new("x.yaml"), &text(mode, rest)).unwrap();
    let key =
        |warning: &String| warning.split(": ").next().and_then(|place| place.split(' ').nth(1)).unwrap().to_owned();
    found.warnings.iter().map(key).collect()
}

fn refused(rest: &str) -> String {
    parse(Path::new("x.yaml"), &text("continuous", rest)).err().unwrap().to_string()
}

#[test]
fn what_has_no_effect_is_warned_of() {
    assert_eq!(warned("autonomous", "conversation: {policy: summary}"), ["conversation"]);
    assert_eq!(warned("continuous", "conversation: {summary_tokens: 100}"), ["conversation.summary_tokens"]);
    assert_eq!(warned("continuous", "conversation: {pinned_memories: [goal]}"), ["conversation.pinned_memories"]);
    let good =
        "conversation: {policy: summary, summary_tokens: 100, pinned_memories: [goal]}\ntools: [{builtin: remember}]";
    assert_eq!(warned("continuous", good), [""; 0]);
}

#[test]
fn what_cannot_work_is_refused() {
    let said = refused("conversation: {policy: summary}\nlimits: {max_steps: 1}");
    assert!(said.contains("limits.max_steps: leaves no step for a summary"), "{said}");
    let said = refused("conversation: {keep_tokens: 5}");
    assert!(said.contains("conversation.keep_tokens"), "{said}");
    let said = refused("conversation: {polcy: summary}");
    assert!(said.contains("did you mean \"policy\"?"), "{said}");
}

/// A version is the hash of what a file says: a key that is absent must not make another version of agents that run.
#[test]
fn an_absent_conversation_leaves_the_version_as_it_was() {
    let spec = parse(Path::new("x.yaml"), &text("continuous", "")).unwrap().spec;
    assert_eq!(spec.conversation.policy, ConversationPolicy::Window);
    assert!(!serde_json::to_string(&spec).unwrap().contains("\"conversation\""));
}

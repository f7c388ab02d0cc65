//! Who lives there, and what the model makes of each kind of work.

use std::time::Duration;

use greenroom_contract::port::llm::Error;
use serde_json::json;

use crate::house::{Act, Asked};

/// The topic under which some work tells of itself, and the agent that listens to it. That one is never removed, so that
/// nothing is told to nobody.
const TOPIC: &str = "sim.told";
pub(super) const LISTENER: &str = "listener";

/// An agent and what is kept the same over its versions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) name: &'static str,
    mode: &'static str,
    rest: &'static str,
    /// How many executions it runs at a time.
    pub(super) capacity: u32,
}

pub(super) const CAST: [Member; 8] = [
    Member { name: "plain", mode: "autonomous", rest: "", capacity: 4 },
    Member { name: "wide", mode: "autonomous", rest: "instances: 3\nconcurrency: 2", capacity: 6 },
    Member { name: "single", mode: "autonomous", rest: "concurrency: 1", capacity: 1 },
    Member {
        name: "touchy",
        mode: "autonomous",
        rest: "supervision: {failures_before_restart: 1, max_restarts: 2, window: 5m, backoff: {min: 1s, max: 10s}}",
        capacity: 4,
    },
    Member {
        name: "patient",
        mode: "autonomous",
        rest: "limits: {max_attempts: 5, retry: {min: 5s, max: 60s}}\nsupervision: {max_restarts: 10, window: 1h}",
        capacity: 4,
    },
    Member { name: "diary", mode: "continuous", rest: "", capacity: 1 },
    Member { name: "friend", mode: "continuous", rest: "supervision: {max_restarts: 1, window: 10m}", capacity: 1 },
    Member { name: LISTENER, mode: "autonomous", rest: "subscriptions: [sim.told]", capacity: 4 },
];

impl Member {
    /// Its file.
    pub(super) fn yaml(&self, version: u32) -> String {
        let Self { name, mode, rest, .. } = self;
        format!(
            "name: {name}\nagent_type: sim\nexecution_mode: {mode}\nllm_config: {{provider: auto}}\n\
             system_prompt: version {version}\n{rest}\n"
        )
    }
}

/// What the model does with a question, which begins with the kind of work.
pub(super) fn script(asked: &Asked) -> Act {
    let answer = || Act::Say("so be it".to_owned());
    let kind = asked.question.split(' ').next().unwrap_or_default();
    match (kind, asked.before) {
        ("think", _) => Act::After(Duration::from_secs(20), "thought".to_owned()),
        ("stream", _) => Act::Stream(10, Duration::from_secs(10)),
        ("tool", _) => Act::Tool("look".to_owned(), json!({ "ms": 3000, "say": "seen" })),
        ("tell", _) => Act::Tool("look".to_owned(), json!({ "ms": 500, "say": "told", "emit": TOPIC })),
        ("stumble", 0) | ("fail", _) => Act::fail(),
        ("refuse", _) => Act::Fail(Error::Authentication { provider: "fake".to_owned(), message: "no".to_owned() }),
        ("faint", 0) | ("poison", _) => Act::Panic,
        _ => answer(),
    }
}

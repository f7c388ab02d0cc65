//! `emit_event`: sends an event to a topic, once, with the transaction that finishes the execution.

use greenroom_contract::{
    execution::Effect,
    port::tool::{Answer, Emit, ToolSpec},
    topic::check_open_topic,
};
use serde_json::{Value, json};

/// The effect is none: the call itself sends nothing, so it may be made again at will.
pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: "emit_event".to_owned(),
        description:
            "Sends an event to a topic, where other agents may be waiting for it. It goes out when your work is \
                      finished. The topic agent.input.NAME reaches the agent NAME."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "topic": { "type": "string", "description": "Words separated by dots, without wildcards." },
                "payload": { "description": "What the event says: any JSON." }
            },
            "required": ["topic", "payload"],
            "additionalProperties": false
        }),
        effect: Effect::None,
    }
}

pub(super) fn call(input: &Value) -> Answer {
    let Some(topic) = input.get("topic").and_then(Value::as_str) else {
        return Answer::error("emit_event needs a topic, which is a text");
    };
    if let Err(error) = check_open_topic(topic) {
        return Answer::error(format!("the topic {topic:?} {error}"));
    }
    let payload = input.get("payload").cloned().unwrap_or(Value::Null);
    let emit = Emit { topic: topic.to_owned(), payload };
    Answer { emits: vec![emit], ..Answer::text(format!("The event goes to {topic} when your work is finished.")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_handed_to_the_transaction() {
        let answer = call(&json!({ "topic": "orders.new", "payload": { "id": 7 } }));
        assert_eq!(answer.emits, [Emit { topic: "orders.new".to_owned(), payload: json!({ "id": 7 }) }]);
        assert!(!answer.is_error);
        assert!(!call(&json!({ "topic": "agent.input.other", "payload": 1 })).is_error, "a command is an event too");
    }

    #[test]
    fn a_bad_topic_is_refused_and_sends_nothing() {
        for input in [json!({}), json!({ "topic": 7 }), json!({ "topic": "a.*" }), json!({ "topic": "" }), json!(null)]
            .into_iter()
            .chain(["cluster.lifecycle.parked", "greenroom.dead.me"].map(|topic| json!({ "topic": topic })))
        {
            let answer = call(&input);
            assert!(answer.is_error && answer.emits.is_empty(), "{input} was taken");
        }
    }
}

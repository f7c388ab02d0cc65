//! `remember` and `recall`: what the agent keeps in mind over its conversations and restarts, and nobody else's.

use greenroom_contract::{
    execution::Effect,
    port::{
        memory::{Memory, Remember},
        tool::{Answer, Call, ToolSpec},
    },
};
use serde_json::{Value, json};

/// The longest key and text, in characters.
const LONGEST_KEY: usize = 200;
const LONGEST_TEXT: usize = 4000;
/// How many things an agent keeps in mind.
const MOST: usize = 1000;
/// How many of them one answer tells.
const MOST_TOLD: usize = 20;

/// The effect is none: nothing is kept before the execution is finished, so the call may be made again at will.
pub(super) fn remember_spec() -> ToolSpec {
    ToolSpec {
        name: "remember".to_owned(),
        description:
            "Keeps a short text in mind under a key, for your later work and conversations; what was there under \
                      the key is replaced. Without a text the key is forgotten. It is kept when your work is finished."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "key": { "type": "string", "maxLength": LONGEST_KEY, "description": "A short name for it." },
                "text": { "type": "string", "maxLength": LONGEST_TEXT, "description": "What to keep in mind." }
            },
            "required": ["key"],
            "additionalProperties": false
        }),
        effect: Effect::None,
    }
}

pub(super) fn recall_spec() -> ToolSpec {
    ToolSpec {
        name: "recall".to_owned(),
        description:
            "Tells what you keep in mind: all of whose key or text holds every word of the query, newest first; \
                      without a query, the newest."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": { "query": { "type": "string", "description": "Words to look for." } },
            "additionalProperties": false
        }),
        effect: Effect::None,
    }
}

pub(super) async fn remember(call: &Call) -> Answer {
    // Not every store takes a NUL.
    let text =
        |name: &str| call.input.get(name).and_then(Value::as_str).map(|text| text.replace('\0', "").trim().to_owned());
    let Some(key) = text("key").filter(|key| !key.is_empty()) else {
        return Answer::error("remember needs a key, which is a text");
    };
    let text = text("text").filter(|text| !text.is_empty());
    if key.chars().count() > LONGEST_KEY || text.as_ref().is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
        return Answer::error(format!(
            "a key has at most {LONGEST_KEY} characters and a text {LONGEST_TEXT}; keep the essence in mind"
        ));
    }
    let kept = match call.mind.recall().await {
        Ok(kept) => kept,
        Err(reason) => return Answer::error(reason),
    };
    let known = kept.iter().any(|memory| memory.key == key);
    let said = match &text {
        Some(_) if !known && kept.len() >= MOST => {
            return Answer::error(format!(
                "{MOST} things are kept in mind, which is all there is room for; forget one"
            ));
        }
        Some(_) => format!("{key:?} is kept in mind when your work is finished."),
        None if known => format!("{key:?} is forgotten when your work is finished."),
        None => return Answer::text(format!("there is nothing under {key:?}")),
    };
    Answer { remembers: vec![Remember { key, text }], ..Answer::text(said) }
}

pub(super) async fn recall(call: &Call) -> Answer {
    let query = call.input.get("query").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    let kept = match call.mind.recall().await {
        Ok(kept) => kept,
        Err(reason) => return Answer::error(reason),
    };
    let fits = |memory: &&Memory| {
        let all = format!("{} {}", memory.key, memory.text).to_lowercase();
        words.iter().all(|word| all.contains(word))
    };
    let found: Vec<&Memory> = kept.iter().filter(fits).collect();
    if found.is_empty() {
        return Answer::text(if kept.is_empty() {
            "nothing is kept in mind"
        } else {
            "nothing of that is kept in mind"
        });
    }
    let line = |memory: &&Memory| format!("{} (since {:.0}): {}", memory.key, memory.at, memory.text);
    let mut lines: Vec<String> = found.iter().take(MOST_TOLD).map(line).collect();
    if found.len() > MOST_TOLD {
        lines.push(format!("[{} more; ask for fewer by other words]", found.len() - MOST_TOLD));
    }
    Answer::text(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use greenroom_contract::{
        BoxFuture,
        port::memory::{Mind, Recall},
    };
    use jiff::Timestamp;

    use super::*;
    use crate::tools::tests::call;

    struct Kept(Vec<(&'static str, &'static str)>);

    impl Recall for Kept {
        fn recall(&self) -> BoxFuture<'_, Result<Vec<Memory>, String>> {
            let at: Timestamp = "2026-11-26T09:00:00Z".parse().unwrap();
            let kept = self.0.iter().map(|(key, text)| Memory { key: (*key).into(), text: (*text).into(), at });
            Box::pin(std::future::ready(Ok(kept.collect())))
        }
    }

    fn with(kept: &[(&'static str, &'static str)], input: Value) -> Call {
        Call { mind: Mind::of(Arc::new(Kept(kept.to_vec()))), ..call("any", input) }
    }

    #[tokio::test]
    async fn a_text_is_handed_to_the_transaction_and_an_empty_one_forgets() {
        let kept = remember(&with(&[], json!({ "key": " city ", "text": "Oslo" }))).await;
        assert_eq!(kept.remembers, [Remember { key: "city".into(), text: Some("Oslo".into()) }]);
        let forgotten = remember(&with(&[("city", "Oslo")], json!({ "key": "city" }))).await;
        assert_eq!(forgotten.remembers, [Remember { key: "city".into(), text: None }]);
        let unknown = remember(&with(&[], json!({ "key": "city", "text": "" }))).await;
        assert!(unknown.remembers.is_empty() && !unknown.is_error);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        let many: Vec<(&'static str, &'static str)> = vec![("k", "t"); MOST];
        for (kept, input) in [
            (&[][..], json!({})),
            (&[][..], json!({ "key": "  ", "text": "x" })),
            (&[][..], json!({ "key": "k".repeat(201), "text": "x" })),
            (&[][..], json!({ "key": "k", "text": "x".repeat(4001) })),
            (&many[..], json!({ "key": "new", "text": "x" })),
        ] {
            let answer = remember(&with(kept, input)).await;
            assert!(answer.is_error && answer.remembers.is_empty(), "{answer:?}");
        }
        assert!(
            !remember(&with(&many, json!({ "key": "k", "text": "x" }))).await.is_error,
            "one that is known is replaced"
        );
    }

    #[tokio::test]
    async fn what_was_kept_is_found_by_its_words() {
        let kept = [("city", "Oslo in winter"), ("pet", "a cat called Oslo"), ("tea", "green")];
        let told = async |query: &str| recall(&with(&kept, json!({ "query": query }))).await.content;
        assert_eq!(told("oslo CAT").await, "pet (since 2026-11-26T09:00:00Z): a cat called Oslo");
        assert_eq!(told("oslo").await.lines().count(), 2);
        assert_eq!(told("").await.lines().count(), 3);
        assert_eq!(told("rome").await, "nothing of that is kept in mind");
        assert_eq!(recall(&with(&[], json!({}))).await.content, "nothing is kept in mind");
    }
}

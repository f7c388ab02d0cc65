//! What a signed request is. Pure: bytes in, a verdict out. Slack adds fields and kinds without notice, so that nothing
//! is read through types of its own, and what is not known is let pass.

use std::collections::BTreeMap;

use greenroom_contract::EventId;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    access::SlackRules,
    ask::Click,
    body::{Body, Malformed},
    draft::{Also, Common, Draft, at, topic},
    interaction, message,
    stop::Stop,
};

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Slack asks whether we are there: send this back.
    Challenge(String),
    /// Nothing to do, and why.
    Ignore { kind: String, why: &'static str },
    /// Slack holds events back because there are too many.
    RateLimited { team: Option<String> },
    /// An answer to a question of an agent's.
    Answer(Box<Click>),
    /// A person ends what is at work in a conversation; `draft` tells of it.
    Stop { stop: Stop, draft: Box<Draft> },
    /// Publish these.
    Take { kind: String, caller: Caller, drafts: Vec<Draft> },
}

/// Who waits for the acknowledgement, and so what can be said when the events could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Slack itself, which sends an event again.
    Retries,
    /// A person who typed a command or clicked: shown a text, because Slack does not send it again. A command shows what it
    /// is answered with; for a click it has to be posted to its address. A capability.
    Person { response_url: Option<String> },
    /// A person with a form open: shown a text at this block of it.
    Form { block: Option<String> },
}

/// Classifies a request. `proof` is what its fallback id is made of: the timestamp and the raw bytes.
pub(crate) fn classify(body: &Body, timestamp: &str, raw: &[u8], rules: &SlackRules) -> Result<Verdict, Malformed> {
    match body {
        Body::Form(fields) if fields.contains_key("payload") => {
            let payload: Value = serde_json::from_str(&fields["payload"])
                .ok()
                .filter(Value::is_object)
                .ok_or(Malformed("the field payload is not a JSON object"))?;
            interaction::classify(&payload, &fallback(timestamp, raw), rules)
        }
        Body::Form(fields) if fields.contains_key("command") => command(fields, &fallback(timestamp, raw), rules),
        Body::Form(_) => Err(Malformed("the form has neither a command nor a payload")),
        Body::Json(envelope) => outer(envelope, rules),
    }
}

fn outer(envelope: &Value, rules: &SlackRules) -> Result<Verdict, Malformed> {
    match at(envelope, "/type") {
        Some("url_verification") => match at(envelope, "/challenge") {
            Some(challenge) => Ok(Verdict::Challenge(challenge.to_owned())),
            None => Err(Malformed("url_verification has no challenge")),
        },
        Some("event_callback") => message::classify(envelope, rules),
        Some("app_rate_limited") => Ok(Verdict::RateLimited { team: at(envelope, "/team_id").map(str::to_owned) }),
        Some(other) => Ok(Verdict::Ignore { kind: other.to_owned(), why: "unknown" }),
        None => Err(Malformed("the body has no type")),
    }
}

fn command(fields: &BTreeMap<String, String>, fallback: &str, rules: &SlackRules) -> Result<Verdict, Malformed> {
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let name = field("command").map(|name| name.trim_start_matches('/')).filter(|name| !name.is_empty());
    let name = name.ok_or(Malformed("the field command is empty"))?;
    let common = Common {
        kind: "command",
        user: field("user_id"),
        channel: field("channel_id"),
        team: field("team_id").or_else(|| field("enterprise_id")),
        user_team: None,
        thread_ts: field("thread_ts"),
        ts: None,
        text: field("text").unwrap_or_default().to_owned(),
    };
    let mut more = Map::new();
    more.insert("command".to_owned(), json!(format!("/{name}")));
    more.insert("user_name".to_owned(), json!(field("user_name")));
    more.insert("trigger_id".to_owned(), json!(field("trigger_id")));
    let draft = Draft {
        topic: topic("command", name),
        id: EventId::derived(&["slack", "command", field("trigger_id").unwrap_or(fallback)]),
        payload: common.payload(more),
        conversation: common.conversation(rules.direct_messages),
        reply: common.reply(field("response_url"), rules.direct_messages),
        correlation: field("trigger_id").map(str::to_owned),
        also: Also::Nothing,
        by_bot: false,
    };
    Ok(Verdict::Take { kind: "command".to_owned(), caller: Caller::Person { response_url: None }, drafts: vec![draft] })
}

/// An id for a request that carries none: the same bytes at the same time are the same request.
fn fallback(timestamp: &str, raw: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(timestamp.as_bytes());
    hash.update(b":");
    hash.update(raw);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slack::body::parse;

    fn form(text: &str) -> Result<Verdict, Malformed> {
        let raw = text.as_bytes();
        classify(&parse(Some("application/x-www-form-urlencoded"), raw).unwrap(), "1", raw, &SlackRules::default())
    }

    fn one(verdict: Result<Verdict, Malformed>) -> Draft {
        match verdict {
            Ok(Verdict::Take { mut drafts, .. }) if drafts.len() == 1 => drafts.remove(0),
            other => panic!("not one event: {other:?}"),
        }
    }

    #[test]
    fn a_command_becomes_an_event_without_its_reply_address_in_the_payload() {
        let draft = one(form(
            "command=%2Fsupport&text=my+payload+is+late&user_id=U1&user_name=ada&channel_id=C1&team_id=T1\
             &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2Fsecret&trigger_id=13.37",
        ));
        assert_eq!(draft.topic, "slack.events.command.support");
        assert_eq!(draft.payload["text"], "my payload is late");
        assert_eq!(draft.payload["command"], "/support");
        assert_eq!(draft.payload["user_id"], "U1");
        assert_eq!(draft.payload["thread_ts"], Value::Null);
        assert!(!draft.payload.to_string().contains("hooks.slack.com"));
        assert_eq!(draft.reply.response_url.unwrap(), "https://hooks.slack.com/commands/secret");
        assert_eq!(draft.id, EventId::derived(&["slack", "command", "13.37"]));
    }

    #[test]
    fn a_command_without_a_trigger_id_is_known_by_its_bytes() {
        let first = one(form("command=%2Fx&text=a"));
        assert_eq!(first.id, one(form("command=%2Fx&text=a")).id);
        assert_ne!(first.id, one(form("command=%2Fx&text=b")).id);
    }

    #[test]
    fn forms_that_are_nothing_of_slacks_are_malformed() {
        for bad in ["", "a=b", "command=", "command=%2F", "payload=", "payload=%5B%5D", "payload=%7B", "payload=1"] {
            assert!(form(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn outer_kinds_are_told_apart() {
        let json = |value: Value| classify(&Body::Json(value), "1", b"", &SlackRules::default());
        assert!(matches!(
            json(json!({"type": "url_verification", "challenge": "abc", "token": "t"})),
            Ok(Verdict::Challenge(challenge)) if challenge == "abc"
        ));
        assert!(matches!(json(json!({"type": "app_rate_limited", "team_id": "T1"})), Ok(Verdict::RateLimited { .. })));
        assert!(matches!(json(json!({"type": "of_the_future"})), Ok(Verdict::Ignore { .. })));
        for bad in [json!({}), json!({"type": 1}), json!({"type": ""}), json!({"type": "url_verification"})] {
            assert!(json(bad.clone()).is_err(), "{bad} was taken");
        }
    }
}

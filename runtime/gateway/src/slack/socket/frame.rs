//! Socket Mode's frames: JSON texts. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::slack::body::Body;

/// What Slack says.
pub(super) enum Frame {
    /// The connection is good; nothing comes before it.
    Hello,
    /// Something for the door.
    Request(Box<Envelope>),
    /// This connection ends soon, or now: another is to be opened.
    Disconnect {
        /// Slack's word for it.
        why: String,
    },
    /// Nothing that we know. Where it has an id it is acknowledged, because it would come again otherwise.
    Unknown {
        /// What is acknowledged.
        id: Option<String>,
    },
}

/// A request, as it would have come to the HTTP door.
pub(super) struct Envelope {
    /// By which it is acknowledged.
    pub(super) id: String,
    pub(super) body: Body,
    /// The bytes of which an id is made where a request carries none.
    pub(super) raw: Vec<u8>,
    /// Whether the acknowledgement may say something.
    pub(super) takes_answer: bool,
    /// Which of Slack's retries it is.
    pub(super) retry: Option<u8>,
}

/// Reads a frame. Whatever it is, it is something: Slack adds kinds without notice.
pub(super) fn read(text: &str) -> Frame {
    let Ok(frame) = serde_json::from_str::<Value>(text) else { return Frame::Unknown { id: None } };
    let word = |name: &str| frame.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
    match word("type") {
        Some("hello") => Frame::Hello,
        Some("disconnect") => {
            let why = word("reason").unwrap_or("unsaid");
            let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            Frame::Disconnect { why: why.chars().filter(plain).take(64).collect() }
        }
        kind => {
            let id = word("envelope_id").map(str::to_owned);
            let payload = frame.get("payload").filter(|payload| payload.is_object());
            match (id, kind.zip(payload).and_then(|(kind, payload)| body(kind, payload))) {
                (Some(id), Some(body)) => Frame::Request(Box::new(Envelope {
                    id,
                    body,
                    raw: payload.map(Value::to_string).unwrap_or_default().into_bytes(),
                    takes_answer: frame.get("accepts_response_payload") == Some(&Value::Bool(true)),
                    retry: frame.get("retry_attempt").and_then(Value::as_u64).and_then(|n| n.try_into().ok()),
                })),
                (id, _) => Frame::Unknown { id },
            }
        }
    }
}

/// The body that the HTTP door would have read.
fn body(kind: &str, payload: &Value) -> Option<Body> {
    match kind {
        "events_api" => Some(Body::Json(payload.clone())),
        "interactive" => Some(Body::Form(BTreeMap::from([("payload".to_owned(), payload.to_string())]))),
        "slash_commands" => {
            let fields = payload.as_object()?.iter();
            let texts = fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            Some(Body::Form(texts.collect()))
        }
        _ => None,
    }
}

/// The acknowledgement, with what the one who waits is shown.
pub(super) fn acknowledgement(id: &str, answer: Option<Value>) -> String {
    let mut frame = json!({ "envelope_id": id });
    if let Some(answer) = answer {
        frame["payload"] = answer;
    }
    frame.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_by_a_socket_has_the_body_that_the_door_would_have_read() {
        let request = |frame: Value| match read(&frame.to_string()) {
            Frame::Request(envelope) => *envelope,
            _ => panic!("no request: {frame}"),
        };
        let event = request(json!({"type": "events_api", "envelope_id": "e1", "payload": {"type": "event_callback"},
            "accepts_response_payload": false, "retry_attempt": 2}));
        assert!(matches!(&event.body, Body::Json(body) if body["type"] == "event_callback"));
        assert_eq!((event.id.as_str(), event.takes_answer, event.retry), ("e1", false, Some(2)));
        let command = request(json!({"type": "slash_commands", "envelope_id": "e2", "accepts_response_payload": true,
            "payload": {"command": "/support", "text": "a payload", "is_enterprise_install": "false", "n": 1}}));
        let Body::Form(fields) = &command.body else { panic!("no form") };
        assert_eq!((fields["command"].as_str(), fields["text"].as_str()), ("/support", "a payload"));
        assert!(command.takes_answer && !fields.contains_key("n"));
        let click = request(json!({"type": "interactive", "envelope_id": "e3", "payload": {"type": "block_actions"}}));
        assert!(matches!(&click.body, Body::Form(fields) if fields["payload"] == r#"{"type":"block_actions"}"#));
    }

    #[test]
    fn anything_else_is_acknowledged_where_that_can_be_and_breaks_nothing() {
        assert!(matches!(read(r#"{"type":"hello","num_connections":1}"#), Frame::Hello));
        let why = |text: &str| match read(text) {
            Frame::Disconnect { why } => why,
            _ => panic!("{text}"),
        };
        assert_eq!(why(r#"{"type":"disconnect","reason":"warning"}"#), "warning");
        assert_eq!(why(r#"{"type":"disconnect","reason":"a\nb"}"#), "ab");
        assert_eq!(why(r#"{"type":"disconnect"}"#), "unsaid");
        for (text, wanted) in [
            ("", None),
            ("{", None),
            ("[]", None),
            ("1", None),
            (r#"{"envelope_id":"x"}"#, Some("x")),
            (r#"{"type":"of_the_future","envelope_id":"x","payload":{}}"#, Some("x")),
            (r#"{"type":"events_api","envelope_id":"x","payload":[]}"#, Some("x")),
            (r#"{"type":"events_api","envelope_id":"","payload":{}}"#, None),
            (r#"{"type":"events_api","payload":{}}"#, None),
            (r#"{"type":7,"envelope_id":7}"#, None),
        ] {
            let Frame::Unknown { id } = read(text) else { panic!("{text} is something") };
            assert_eq!(id.as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn an_acknowledgement_names_its_envelope() {
        assert_eq!(acknowledgement("e1", None), r#"{"envelope_id":"e1"}"#);
        let said: Value = serde_json::from_str(&acknowledgement("e1", Some(json!({"text": "x"})))).unwrap();
        assert_eq!(said, json!({"envelope_id": "e1", "payload": {"text": "x"}}));
    }
}

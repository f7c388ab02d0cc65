//! Interactivity: clicks, submitted forms, shortcuts.

use greenroom_contract::EventId;
use serde_json::{Map, Value, json};

use super::{
    access::SlackRules,
    ask::{Click, is_ours},
    body::Malformed,
    classify::{Caller, Verdict},
    draft::{Also, Common, Draft, at, first, topic},
};

/// Classifies an interaction. `fallback` is its id where it has no trigger id.
pub(super) fn classify(payload: &Value, fallback: &str, rules: &SlackRules) -> Result<Verdict, Malformed> {
    let kind = at(payload, "/type").ok_or(Malformed("the payload has no type"))?;
    match kind {
        "block_actions" => clicks(payload, fallback, rules),
        "view_submission" => Ok(submission(payload, fallback, rules)),
        "shortcut" | "message_action" => shortcut(payload, fallback, rules),
        "view_closed" | "block_suggestion" => Ok(Verdict::Ignore { kind: kind.to_owned(), why: "nothing to do" }),
        other => Ok(Verdict::Ignore { kind: other.to_owned(), why: "unknown" }),
    }
}

fn clicks(payload: &Value, fallback: &str, rules: &SlackRules) -> Result<Verdict, Malformed> {
    let actions = payload.get("actions").and_then(Value::as_array).filter(|actions| !actions.is_empty());
    let actions = actions.ok_or(Malformed("block_actions has no actions"))?;
    if actions.iter().any(|action| at(action, "/action_id").is_some_and(is_ours)) {
        // It is for the question and for no agent's subscription.
        let click = Click::read(payload).ok_or(Malformed("an answer names nobody who gave it"))?;
        return Ok(Verdict::Answer(Box::new(click)));
    }
    let trigger = at(payload, "/trigger_id");
    let common = common(payload, "action");
    let draft = |(index, action): (usize, &Value)| {
        let action_id = at(action, "/action_id").unwrap_or("_");
        let common = Common { text: spoken(&value_of(action)), ..common.clone() };
        let mut more = Map::new();
        more.insert(
            "action".to_owned(),
            json!({ "action_id": action_id, "value": value_of(action), "block_id": at(action, "/block_id") }),
        );
        more.insert("callback_id".to_owned(), json!(at(payload, "/view/callback_id")));
        more.insert("trigger_id".to_owned(), json!(trigger));
        Draft {
            topic: topic("action", action_id),
            id: EventId::derived(&["slack", "action", trigger.unwrap_or(fallback), &index.to_string()]),
            payload: common.payload(more),
            conversation: common.conversation(rules.direct_messages),
            reply: common.reply(response_url(payload), rules.direct_messages),
            correlation: trigger.map(str::to_owned),
            also: Also::Nothing,
            by_bot: false,
        }
    };
    let drafts = actions.iter().take(25).enumerate().map(draft).collect();
    Ok(Verdict::Take {
        kind: "action".to_owned(),
        caller: Caller::Person { response_url: response_url(payload).map(str::to_owned) },
        drafts,
    })
}

fn submission(payload: &Value, fallback: &str, rules: &SlackRules) -> Verdict {
    let common = common(payload, "view_submission");
    let callback = at(payload, "/view/callback_id");
    let blocks = payload.pointer("/view/state/values").and_then(Value::as_object);
    let mut values = Map::new();
    for (block, inputs) in blocks.into_iter().flatten() {
        let inputs = inputs.as_object().into_iter().flatten();
        let inputs: Map<String, Value> = inputs.map(|(input, state)| (input.clone(), value_of(state))).collect();
        values.insert(block.clone(), Value::Object(inputs));
    }
    let trigger = at(payload, "/trigger_id");
    let block = values.keys().next().cloned();
    let mut more = Map::new();
    more.insert("callback_id".to_owned(), json!(callback));
    more.insert("values".to_owned(), Value::Object(values));
    more.insert("private_metadata".to_owned(), json!(at(payload, "/view/private_metadata")));
    more.insert("trigger_id".to_owned(), json!(trigger));
    let draft = Draft {
        topic: topic("view_submission", callback.unwrap_or("_")),
        id: EventId::derived(&["slack", "view_submission", trigger.unwrap_or(fallback)]),
        payload: common.payload(more),
        conversation: common.conversation(rules.direct_messages),
        reply: common.reply(response_url(payload), rules.direct_messages),
        correlation: trigger.map(str::to_owned),
        also: Also::Nothing,
        by_bot: false,
    };
    Verdict::Take { kind: "view_submission".to_owned(), caller: Caller::Form { block }, drafts: vec![draft] }
}

fn shortcut(payload: &Value, fallback: &str, rules: &SlackRules) -> Result<Verdict, Malformed> {
    let callback = at(payload, "/callback_id").ok_or(Malformed("the shortcut has no callback_id"))?;
    let message = at(payload, "/message/text").unwrap_or_default().to_owned();
    let common = Common { text: message, ..common(payload, "shortcut") };
    let trigger = at(payload, "/trigger_id");
    let mut more = Map::new();
    more.insert("callback_id".to_owned(), json!(callback));
    more.insert("trigger_id".to_owned(), json!(trigger));
    let draft = Draft {
        topic: topic("shortcut", callback),
        id: EventId::derived(&["slack", "shortcut", trigger.unwrap_or(fallback)]),
        payload: common.payload(more),
        conversation: common.conversation(rules.direct_messages),
        reply: common.reply(response_url(payload), rules.direct_messages),
        correlation: trigger.map(str::to_owned),
        also: Also::Nothing,
        by_bot: false,
    };
    Ok(Verdict::Take {
        kind: "shortcut".to_owned(),
        caller: Caller::Person { response_url: response_url(payload).map(str::to_owned) },
        drafts: vec![draft],
    })
}

fn common<'a>(payload: &'a Value, kind: &'a str) -> Common<'a> {
    Common {
        kind,
        user: first(payload, &["/user/id", "/user"]),
        channel: first(payload, &["/channel/id", "/container/channel_id"]),
        team: first(payload, &["/team/id", "/user/team_id", "/enterprise/id"]),
        user_team: at(payload, "/user/team_id"),
        thread_ts: first(payload, &["/message/thread_ts", "/container/thread_ts"]),
        ts: first(payload, &["/message/ts", "/container/message_ts", "/message_ts"]),
        text: String::new(),
    }
}

/// A capability: it goes into the reply address and nowhere else.
fn response_url(payload: &Value) -> Option<&str> {
    first(payload, &["/response_url", "/response_urls/0/response_url"])
}

/// What was chosen or typed, whichever of Slack's elements it came from.
fn value_of(element: &Value) -> Value {
    const PLACES: &[&str] = &[
        "/value",
        "/selected_option/value",
        "/selected_user",
        "/selected_channel",
        "/selected_conversation",
        "/selected_date",
        "/selected_time",
        "/selected_date_time",
        "/selected_users",
        "/selected_channels",
        "/selected_conversations",
        "/rich_text_value",
    ];
    if let Some(options) = element.get("selected_options").and_then(Value::as_array) {
        return options.iter().map(|option| option.get("value").cloned().unwrap_or(Value::Null)).collect();
    }
    let found = PLACES.iter().find_map(|place| element.pointer(place).filter(|value| !value.is_null()));
    found.cloned().unwrap_or(Value::Null)
}

/// A value as the text of its event, where it is one.
fn spoken(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(payload: Value) -> Vec<Draft> {
        match classify(&payload, "fallback", &SlackRules::default()) {
            Ok(Verdict::Take { drafts, .. }) => drafts,
            other => panic!("not taken: {other:?}"),
        }
    }

    #[test]
    fn a_click_becomes_an_event_under_its_action() {
        let drafts = drafts(json!({
            "type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": {"id": "C1"},
            "container": {"type": "message", "message_ts": "17.2"}, "message": {"ts": "17.2", "thread_ts": "17.1"},
            "trigger_id": "1.2.3", "response_url": "https://hooks.slack.com/actions/secret",
            "actions": [{"action_id": "approve.plan", "block_id": "b1", "value": "q-42", "type": "button"}],
        }));
        let draft = &drafts[0];
        assert_eq!(draft.topic, "slack.events.action.approve_plan");
        assert_eq!(draft.payload["action"], json!({"action_id": "approve.plan", "value": "q-42", "block_id": "b1"}));
        assert_eq!(draft.payload["text"], "q-42");
        assert_eq!(draft.conversation.as_deref(), Some("T1:C1:17.1"));
        assert!(!draft.payload.to_string().contains("hooks.slack.com"));
        assert!(draft.reply.response_url.is_some());
    }

    #[test]
    fn a_click_in_a_form_may_lack_almost_everything() {
        let drafts = drafts(json!({"type": "block_actions", "team": null, "user": {"id": "U1", "team_id": "T9"},
            "actions": [{"action_id": "a", "selected_option": {"value": "x"}}, {"selected_options": [{"value": "y"}]}]}));
        assert_eq!(drafts.len(), 2);
        assert_eq!(drafts[0].payload["action"]["value"], "x");
        assert_eq!(drafts[1].payload["action"]["value"], json!(["y"]));
        assert_eq!(drafts[1].topic, "slack.events.action._");
        assert_ne!(drafts[0].id, drafts[1].id);
        assert_eq!(drafts[0].payload["team_id"], "T9");
        assert_eq!(drafts[0].conversation, None);
    }

    #[test]
    fn a_submitted_form_carries_its_values() {
        let payload = json!({
            "type": "view_submission", "user": {"id": "U1"}, "team": {"id": "T1"}, "trigger_id": "9",
            "view": {"callback_id": "refund", "private_metadata": "run-7", "state": {"values": {
                "amount": {"input": {"type": "plain_text_input", "value": "12"}},
                "when": {"date": {"type": "datepicker", "selected_date": "2026-11-22"}}}}},
        });
        let Ok(Verdict::Take { caller, drafts, .. }) = classify(&payload, "f", &SlackRules::default()) else {
            panic!("not taken")
        };
        assert_eq!(caller, Caller::Form { block: Some("amount".to_owned()) });
        assert_eq!(drafts[0].topic, "slack.events.view_submission.refund");
        assert_eq!(drafts[0].payload["values"], json!({"amount": {"input": "12"}, "when": {"date": "2026-11-22"}}));
        assert_eq!(drafts[0].payload["private_metadata"], "run-7");
    }

    #[test]
    fn shortcuts_of_both_kinds_share_a_topic() {
        let global =
            drafts(json!({"type": "shortcut", "callback_id": "new-task", "user": {"id": "U1"}, "trigger_id": "1"}));
        assert_eq!(global[0].topic, "slack.events.shortcut.new-task");
        let message = drafts(json!({"type": "message_action", "callback_id": "new-task", "user": {"id": "U1"},
            "trigger_id": "2", "message": {"text": "broken", "ts": "3.1"}, "channel": {"id": "C1"}}));
        assert_eq!(message[0].payload["text"], "broken");
        assert_eq!(message[0].payload["ts"], "3.1");
    }

    #[test]
    fn what_needs_nothing_done_is_ignored_and_what_is_broken_is_malformed() {
        for kind in ["view_closed", "block_suggestion", "of_the_future", "interactive_message"] {
            assert!(
                matches!(classify(&json!({"type": kind}), "f", &SlackRules::default()), Ok(Verdict::Ignore { .. })),
                "{kind}"
            );
        }
        for bad in [
            json!({}),
            json!({"type": "block_actions"}),
            json!({"type": "block_actions", "actions": []}),
            json!({"type": "shortcut"}),
        ] {
            assert!(classify(&bad, "f", &SlackRules::default()).is_err(), "{bad} was taken");
        }
    }
}

//! The Events API: messages, mentions, and whatever else an app subscribed to.

use greenroom_contract::EventId;
use serde_json::{Map, Value, json};

use super::{
    access::SlackRules,
    body::Malformed,
    classify::{Caller, Verdict},
    draft::{Also, Common, Draft, at, first, topic},
    stop::Stop,
};

/// Messages with one of these subtypes are somebody's words; all others are Slack's own notices.
const SUBTYPES: &[&str] = &["file_share", "thread_broadcast", "me_message"];

/// A person ended what an agent does, by the button that Slack shows while it works.
const STOPPED: &str = "agent_session_stopped";

/// Classifies an `event_callback`.
pub(super) fn classify(envelope: &Value, rules: &SlackRules) -> Result<Verdict, Malformed> {
    let event =
        envelope.get("event").filter(|event| event.is_object()).ok_or(Malformed("event_callback has no event"))?;
    let kind = at(event, "/type").ok_or(Malformed("the event has no type"))?;
    let ignore = |why| Ok(Verdict::Ignore { kind: kind.to_owned(), why });
    let spoken = matches!(kind, "message" | "app_mention");
    let by_bot = is_from_a_bot(event);
    if is_our_own(envelope, event) {
        return ignore("the app's own");
    }
    if by_bot && !(spoken && is_heard(event, rules)) {
        return ignore("a bot's own");
    }
    let words = |subtype: &str| SUBTYPES.contains(&subtype) || (by_bot && subtype == "bot_message");
    if spoken && at(event, "/subtype").is_some_and(|subtype| !words(subtype)) {
        return ignore("not somebody's words");
    }
    if spoken && event.get("hidden") == Some(&Value::Bool(true)) {
        return ignore("hidden");
    }
    let common = common(envelope, event, kind);
    let raw_text = at(event, "/text").unwrap_or_default();
    let slack_id = at(envelope, "/event_id");
    let id = match (common.ts, slack_id) {
        // A mention comes twice, as a mention and as a message, each with its own event id; the words are the same ones.
        (Some(ts), _) if spoken => derived(&common, &[ts]),
        (_, Some(slack_id)) => EventId::derived(&["slack", "event", slack_id]),
        (Some(ts), None) => derived(&common, &[kind, ts]),
        (None, None) => return Err(Malformed("the event has neither an event_id nor a ts")),
    };
    let mut more = Map::new();
    more.insert("channel_type".to_owned(), json!(at(event, "/channel_type")));
    more.insert("raw_text".to_owned(), if raw_text == common.text { Value::Null } else { json!(raw_text) });
    more.insert("reaction".to_owned(), json!(at(event, "/reaction")));
    more.insert("files".to_owned(), files(event));
    more.insert("bot_id".to_owned(), json!(at(event, "/bot_id")));
    let draft = Draft {
        topic: topic(kind, common.channel.unwrap_or("_")),
        id,
        payload: common.payload(more),
        conversation: common.conversation(rules.direct_messages),
        reply: common.reply(None, rules.direct_messages),
        correlation: slack_id.map(str::to_owned),
        also: also(envelope, event, &common),
        by_bot,
    };
    if let (STOPPED, Some(channel)) = (kind, common.channel) {
        let thread_ts = common.thread_ts.or(at(event, "/ts")).map(str::to_owned);
        let stop = Stop { team: common.team.map(str::to_owned), channel: channel.to_owned(), thread_ts };
        return Ok(Verdict::Stop { stop, draft: Box::new(draft) });
    }
    Ok(Verdict::Take { kind: kind.to_owned(), caller: Caller::Retries, drafts: vec![draft] })
}

/// Under which topic a message is told of, too.
fn also(envelope: &Value, event: &Value, common: &Common<'_>) -> Also {
    if common.kind != "message" {
        return Also::Nothing;
    }
    if common.is_direct() {
        return Also::DirectMessage;
    }
    let begun_by = at(event, "/parent_user_id");
    match common.thread_ts.filter(|thread| Some(*thread) != common.ts) {
        Some(thread) => Also::Thread {
            ours: begun_by.is_some() && begun_by == bot_user(envelope),
            root: derived(common, &[thread]),
        },
        None => Also::Nothing,
    }
}

fn common<'a>(envelope: &'a Value, event: &'a Value, kind: &'a str) -> Common<'a> {
    let raw_text = at(event, "/text").unwrap_or_default();
    let spoken = if kind == "app_mention" { without_mention(raw_text, bot_user(envelope)) } else { raw_text };
    Common {
        kind,
        user: first(event, &["/user", "/user/id", "/user_id", "/message/user", "/assistant_thread/user_id"]),
        channel: first(
            event,
            &["/channel", "/channel/id", "/channel_id", "/item/channel", "/assistant_thread/channel_id"],
        ),
        // In a shared channel the outer team may be somebody else's; the authorisation names the one that installed us.
        team: first(envelope, &["/authorizations/0/team_id", "/team_id", "/event/team", "/enterprise_id"]),
        user_team: first(event, &["/user_team", "/source_team", "/team"]),
        thread_ts: first(event, &["/thread_ts", "/assistant_thread/thread_ts"]),
        ts: first(event, &["/ts", "/item/ts", "/event_ts"]),
        text: unescape(spoken),
    }
}

fn derived(common: &Common<'_>, parts: &[&str]) -> EventId {
    let place = ["slack", common.team.unwrap_or_default(), common.channel.unwrap_or_default()];
    EventId::derived(&[&place, parts].concat())
}

/// What the app says itself is never heard.
fn is_our_own(envelope: &Value, event: &Value) -> bool {
    let (user, app) = (at(event, "/user"), first(event, &["/app_id", "/bot_profile/app_id"]));
    (app.is_some() && app == at(envelope, "/api_app_id")) || (user.is_some() && user == bot_user(envelope))
}

/// Two agents that answer each other never end, so that what any bot says is left alone.
fn is_from_a_bot(event: &Value) -> bool {
    at(event, "/bot_id").is_some()
        || event.get("bot_profile").is_some_and(Value::is_object)
        || at(event, "/subtype") == Some("bot_message")
        || at(event, "/user") == Some("USLACKBOT")
}

/// Unless it is named.
fn is_heard(event: &Value, rules: &SlackRules) -> bool {
    let ids = ["/bot_id", "/app_id", "/bot_profile/app_id", "/bot_profile/id"];
    ids.iter().filter_map(|place| at(event, place)).any(|id| rules.bots.iter().any(|bot| bot == id))
}

fn bot_user(envelope: &Value) -> Option<&str> {
    let authorizations = envelope.get("authorizations")?.as_array()?;
    let bot = authorizations.iter().find(|entry| entry.get("is_bot") == Some(&Value::Bool(true)))?;
    at(bot, "/user_id")
}

/// The words after the mention of the bot that they begin with.
fn without_mention<'a>(text: &'a str, bot: Option<&str>) -> &'a str {
    let mention = text.trim_start().strip_prefix("<@").and_then(|rest| rest.split_once('>'));
    let Some((who, rest)) = mention else { return text };
    let id = who.split('|').next().unwrap_or(who);
    if bot.is_some_and(|bot| bot != id) {
        return text;
    }
    rest.trim_start_matches([' ', ',', ':', '\n', '\t', '\u{a0}'])
}

/// Slack escapes these three, and only these.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// What files came with a message: what is needed to speak of them. Their addresses need a token and stay out.
fn files(event: &Value) -> Value {
    let Some(files) = event.get("files").and_then(Value::as_array).filter(|files| !files.is_empty()) else {
        return Value::Null;
    };
    let named =
        |file: &Value| json!({ "id": at(file, "/id"), "name": at(file, "/name"), "mimetype": at(file, "/mimetype") });
    files.iter().take(50).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(event: Value) -> Value {
        json!({
            "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1",
            "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
            "event": event,
        })
    }

    fn take(event: Value) -> Draft {
        match classify(&envelope(event), &SlackRules::default()) {
            Ok(Verdict::Take { mut drafts, .. }) => drafts.remove(0),
            other => panic!("not taken: {other:?}"),
        }
    }

    fn ignored(event: Value) -> bool {
        matches!(classify(&envelope(event), &SlackRules::default()), Ok(Verdict::Ignore { .. }))
    }

    #[test]
    fn a_mention_and_its_message_are_one_event_under_two_topics() {
        let mention = take(json!({"type": "app_mention", "user": "U1", "text": "<@UBOT> a &lt; b &amp;&amp; c",
            "channel": "C1", "ts": "17.1"}));
        let message = take(json!({"type": "message", "user": "U1", "text": "<@UBOT> a &lt; b &amp;&amp; c",
            "channel": "C1", "ts": "17.1", "channel_type": "channel"}));
        assert_eq!(mention.id, message.id);
        assert_eq!(mention.topic, "slack.events.app_mention.C1");
        assert_eq!(message.topic, "slack.events.message.C1");
        assert_eq!(mention.payload["text"], "a < b && c");
        assert_eq!(mention.payload["raw_text"], "<@UBOT> a &lt; b &amp;&amp; c");
        assert_eq!(mention.conversation.as_deref(), Some("T1:C1:17.1"));
        assert_eq!(mention.reply.thread_ts.as_deref(), Some("17.1"));
        assert_eq!(mention.correlation.as_deref(), Some("Ev1"));
    }

    #[test]
    fn only_the_bots_own_leading_mention_is_taken_off() {
        let text = |text: &str| {
            take(json!({"type": "app_mention", "text": text, "channel": "C1", "ts": "1"})).payload["text"].clone()
        };
        assert_eq!(text("<@UBOT> hi"), "hi");
        assert_eq!(text("<@UBOT|greenroom>: hi <@UBOT>"), "hi <@UBOT>");
        assert_eq!(text("<@U2> ask <@UBOT>"), "<@U2> ask <@UBOT>");
        assert_eq!(text("hi <@UBOT>"), "hi <@UBOT>");
        assert_eq!(without_mention("<@U9> hi", None), "hi");
    }

    #[test]
    fn bots_and_slacks_notices_are_ignored() {
        let base = |more: Value| {
            let mut event = json!({"type": "message", "user": "U1", "text": "x", "channel": "C1", "ts": "1"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            event
        };
        for more in [
            json!({"bot_id": "B1"}),
            json!({"subtype": "bot_message"}),
            json!({"app_id": "A1"}),
            json!({"user": "UBOT"}),
            json!({"user": "USLACKBOT"}),
            json!({"subtype": "message_changed"}),
            json!({"subtype": "message_deleted"}),
            json!({"subtype": "channel_join"}),
            json!({"subtype": "of_the_future"}),
            json!({"hidden": true}),
        ] {
            assert!(ignored(base(more.clone())), "{more} was taken");
        }
        for more in [
            json!({}),
            json!({"subtype": "file_share", "files": [{"id": "F1", "name": "a.txt", "url_private": "https://x"}]}),
            json!({"subtype": "thread_broadcast"}),
            json!({"subtype": "me_message"}),
            json!({"app_id": "A2"}),
        ] {
            assert!(!ignored(base(more.clone())), "{more} was ignored");
        }
    }

    #[test]
    fn a_direct_message_is_one_conversation() {
        let draft = take(
            json!({"type": "message", "channel_type": "im", "user": "U1", "text": "hi", "channel": "D1", "ts": "5"}),
        );
        assert_eq!(draft.conversation.as_deref(), Some("T1:D1"));
        assert_eq!(draft.reply.thread_ts, None);
        assert_eq!(draft.payload["channel_type"], "im");
    }

    #[test]
    fn other_events_are_published_under_their_type_and_known_by_slacks_id() {
        let reaction = json!({"type": "reaction_added", "user": "U1", "reaction": "eyes", "event_ts": "9",
            "item": {"type": "message", "channel": "C1", "ts": "17.1"}});
        let draft = take(reaction);
        assert_eq!(draft.topic, "slack.events.reaction_added.C1");
        assert_eq!(draft.id, EventId::derived(&["slack", "event", "Ev1"]));
        assert_eq!(draft.payload["reaction"], "eyes");
        assert_eq!(take(json!({"type": "team_join", "user": {"id": "U2"}})).topic, "slack.events.team_join._");
        // An event can carry a token; only the one shape is published.
        let secret = take(json!({"type": "function_executed", "bot_access_token": "xwfp-1", "event_ts": "1"}));
        assert!(!secret.payload.to_string().contains("xwfp"));
    }

    #[test]
    fn an_installation_for_a_whole_organisation_has_no_team() {
        let verdict = classify(
            &json!({
                "type": "event_callback", "team_id": null, "enterprise_id": "E1", "event_id": "Ev2",
                "authorizations": [{"team_id": null, "enterprise_id": "E1", "user_id": "UBOT", "is_bot": true}],
                "event": {"type": "app_mention", "user": "U1", "text": "<@UBOT> hi", "channel": "C1", "ts": "1"},
            }),
            &SlackRules::default(),
        );
        let Ok(Verdict::Take { drafts, .. }) = verdict else { panic!("not taken") };
        assert_eq!(drafts[0].payload["team_id"], "E1");
    }

    #[test]
    fn an_envelope_without_an_event_is_malformed() {
        for event in [json!(null), json!("x"), json!({}), json!({"type": 1})] {
            assert!(classify(&envelope(event.clone()), &SlackRules::default()).is_err(), "{event} was taken");
        }
    }
}

//! Slack's door as a whole: what goes in, what comes out, what is published.

use axum::{body::Body, http::Request};
use greenroom_contract::{EventId, ReplyTo};
use secrecy::SecretString;
use serde_json::json;

use super::{SlackDoor, SlackRules, SlackWeb};
use crate::testing::{FakeSlack, House, Mood, NOW, SECRET, signed, web};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const COMMAND: &str = "command=%2Fsupport&text=help+me&user_id=U1&channel_id=C1&team_id=T1&trigger_id=1.2\
     &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2Fx";

/// Slack's published vector: its body, signature and time.
const PUBLISHED: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

fn mention() -> String {
    json!({
        "type": "event_callback", "team_id": "T1", "event_id": "Ev1",
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
        "event": {"type": "app_mention", "user": "U1", "text": "<@UBOT> hi", "channel": "C1", "ts": "17.1"},
    })
    .to_string()
}

#[tokio::test]
async fn slacks_published_request_is_taken_in() {
    let house = House::new();
    let request = Request::post("/slack/commands")
        .header("content-type", FORM)
        .header("x-slack-request-timestamp", NOW.to_string())
        .header("x-slack-signature", SIGNATURE);
    let answer = house.send(request.body(Body::from(PUBLISHED)).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "a silent acknowledgement");
    let events = house.operator.events.lock().unwrap();
    assert_eq!(events[0].event_type, "slack.events.command.webhook-collect");
    assert_eq!(events[0].trace_id.to_string(), answer.header("x-trace-id"));
}

#[tokio::test]
async fn a_command_is_published_with_its_reply_address_outside_of_the_payload() {
    let house = House::new();
    for path in ["/slack/events", "/slack/commands", "/slack/interactions"] {
        let request = signed(path, "application/x-www-form-urlencoded; charset=UTF-8", COMMAND);
        assert_eq!(house.send(request.body(Body::from(COMMAND)).unwrap()).await.status, 200, "{path}");
    }
    let events = house.operator.events.lock().unwrap();
    assert_eq!(events.len(), 3);
    assert!(events.iter().all(|event| event.event_id == events[0].event_id), "the same request has the same id");
    let event = &events[0];
    assert_eq!(event.source, "slack");
    assert_eq!(event.timestamp.as_second(), NOW);
    assert_eq!(event.conversation.as_deref(), Some("T1:C1"));
    assert_eq!(event.payload["text"], "help me");
    let Some(ReplyTo::Slack(reply)) = &event.reply_to else { panic!("no reply address") };
    assert_eq!(reply.response_url.as_deref(), Some("https://hooks.slack.com/commands/x"));
    assert!(!event.payload.to_string().contains("hooks.slack.com"));
}

#[tokio::test]
async fn what_is_not_signed_well_is_401_and_leaves_no_trace() {
    let house = House::new();
    let other = NOW + 301;
    let cases: Vec<(&str, Request<Body>)> = vec![
        ("no headers", Request::post("/slack/events").header("content-type", FORM).body(Body::from(COMMAND)).unwrap()),
        ("another body", signed("/slack/events", FORM, COMMAND).body(Body::from(format!("{COMMAND}&x=1"))).unwrap()),
        ("stale", {
            let mut request = signed("/slack/events", FORM, COMMAND).body(Body::from(COMMAND)).unwrap();
            request.headers_mut().insert("x-slack-request-timestamp", other.to_string().parse().unwrap());
            request
        }),
        ("broken JSON is not read before the signature", {
            let request = Request::post("/slack/events").header("content-type", JSON);
            request.header("x-slack-request-timestamp", NOW.to_string()).body(Body::from("{")).unwrap()
        }),
        ("a check of the certificate with a command in it", {
            let body = format!("ssl_check=1&{COMMAND}");
            Request::post("/slack/events").header("content-type", FORM).body(Body::from(body)).unwrap()
        }),
        ("an unsigned challenge", {
            let body = json!({"type": "url_verification", "challenge": "abc"}).to_string();
            Request::post("/slack/events").header("content-type", JSON).body(Body::from(body)).unwrap()
        }),
    ];
    for (what, request) in cases {
        let answer = house.send(request).await;
        let body = answer.problem(401, "bad_signature");
        assert!(!answer.text().contains("v0="), "{what}: no signature is told");
        assert!(body.get("errors").is_none(), "{what}");
    }
    assert!(house.operator.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn slacks_handshakes_are_answered() {
    let house = House::new();
    let check = Request::post("/slack/events").header("content-type", FORM);
    let answer = house.send(check.body(Body::from("ssl_check=1&token=abc")).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));

    let challenge = json!({"type": "url_verification", "challenge": "3eZbrw1a", "token": "t"}).to_string();
    let answer = house.slack(JSON, &challenge).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "3eZbrw1a"));
    assert!(answer.header("content-type").starts_with("text/plain"));

    let limited = json!({"type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1}).to_string();
    assert_eq!(house.slack(JSON, &limited).await.status, 200);
    let unknown = json!({"type": "of_the_future"}).to_string();
    assert_eq!(house.slack(JSON, &unknown).await.status, 200, "an unknown kind is never an error");
    assert!(house.operator.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_signed_request_that_cannot_be_understood_is_not_to_come_again() {
    let house = House::new();
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for (media, body) in [
        (JSON, "{"),
        (JSON, ""),
        (JSON, "[]"),
        (JSON, "{}"),
        (JSON, r#"{"type":"event_callback"}"#),
        (JSON, r#"{"type":"url_verification"}"#),
        (JSON, deep.as_str()),
        (FORM, ""),
        (FORM, "a=b"),
        (FORM, "payload=%7B"),
        (FORM, "payload=%7B%22type%22%3A%22block_actions%22%7D"),
        ("text/plain", "command=%2Fx"),
    ] {
        let answer = house.slack(media, body).await;
        answer.problem(400, "malformed");
        assert_eq!(answer.header("x-slack-no-retry"), "1", "{body:?}");
    }
    let answer = house.slack(FORM, &"x".repeat(1024 * 1024 + 1)).await;
    answer.problem(413, "too_large");
    assert_eq!(house.slack(FORM, &format!("command=%2Fx&text={}", "x".repeat(1024 * 1024 - 50))).await.status, 200);
}

#[tokio::test]
async fn slacks_retries_carry_the_same_id_and_are_not_dropped() {
    let house = House::new();
    let body = mention();
    assert_eq!(house.slack(JSON, &body).await.status, 200);
    let retry = signed("/slack/events", JSON, &body).header("x-slack-retry-num", "1");
    let retry = retry.header("x-slack-retry-reason", "http_timeout").body(Body::from(body)).unwrap();
    assert_eq!(house.send(retry).await.status, 200);
    {
        let events = house.operator.events.lock().unwrap();
        assert_eq!(events.len(), 2, "the first may have been lost: the store decides");
        assert_eq!(events[0].event_id, EventId::derived(&["slack", "T1", "C1", "17.1"]));
        assert_eq!(events[0].event_id, events[1].event_id);
        assert_eq!(events[0].payload, events[1].payload);
    }
    house.operator.set(Mood::Conflict);
    assert_eq!(house.slack(JSON, &mention()).await.status, 200, "what is in already is in");
}

#[tokio::test]
async fn a_caller_is_told_what_can_be_done_when_nothing_could_be_taken_in() {
    let house = House::new();
    house.operator.set(Mood::Unavailable);

    let answer = house.slack(JSON, &mention()).await;
    answer.problem(503, "unavailable");
    assert_eq!(answer.header("x-slack-no-retry"), "", "Slack is to send it again");
    assert!(!answer.header("retry-after").is_empty());

    let answer = house.slack(FORM, COMMAND).await;
    assert_eq!(answer.status, 200, "Slack does not send a command again: the person is told");
    assert_eq!(answer.json()["response_type"], "ephemeral");

    let view = json!({"type": "view_submission", "user": {"id": "U1"}, "trigger_id": "1",
        "view": {"callback_id": "c", "state": {"values": {"b1": {"i": {"value": "x"}}}}}});
    let body: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("payload", &view.to_string()).finish();
    let answer = house.slack(FORM, &body).await;
    assert_eq!(answer.json()["response_action"], "errors");
    assert!(answer.json()["errors"]["b1"].is_string());
}

#[tokio::test(start_paused = true)]
async fn slack_is_answered_before_it_gives_up() {
    let house = House::new();
    house.operator.set(Mood::Hangs);
    let started = tokio::time::Instant::now();
    house.slack(JSON, &mention()).await.problem(503, "unavailable");
    assert!(started.elapsed().as_millis() < 3000, "{:?}", started.elapsed());
}

#[tokio::test]
async fn without_a_secret_the_door_is_closed_and_says_why() {
    let house = House::with(|doors| doors.slack = None);
    let answer = house.slack(FORM, COMMAND).await;
    let problem = answer.problem(503, "slack_not_configured");
    assert!(problem["detail"].as_str().unwrap().contains("SLACK_SIGNING_SECRET"));
    let door = |secrets: Vec<SecretString>| SlackDoor::new(secrets, SlackRules::default(), web());
    assert!(door(vec![]).is_none());
    assert!(door(vec!["".into(), "  ".into()]).is_none(), "an empty secret is none");
}

#[tokio::test]
async fn a_tunnels_host_name_may_reach_slacks_door_and_other_methods_may_not() {
    let house = House::new();
    let request = signed("/slack/events", FORM, COMMAND).header("host", "demo.tunnel.example");
    assert_eq!(house.send(request.body(Body::from(COMMAND)).unwrap()).await.status, 200);
    let answer = house.get("/slack/events").await;
    answer.problem(405, "wrong_method");
    assert_eq!(answer.header("allow"), "POST");
}

fn house(rules: SlackRules) -> House {
    House::with(|doors| doors.slack = SlackDoor::new([SECRET.into()], rules, web()))
}

fn said(event: serde_json::Value) -> String {
    json!({
        "type": "event_callback", "team_id": "T1", "event_id": "Ev7", "api_app_id": "A1", "event": event,
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
    })
    .to_string()
}

fn topics(house: &House) -> Vec<String> {
    house.operator.events.lock().unwrap().iter().map(|event| event.event_type.clone()).collect()
}

#[tokio::test]
async fn while_a_secret_is_changed_the_old_one_is_good_too() {
    let secrets: [SecretString; 2] = ["the-new-one".into(), SECRET.into()];
    let house = House::with(|doors| doors.slack = SlackDoor::new(secrets, SlackRules::default(), web()));
    assert_eq!(house.slack(FORM, COMMAND).await.status, 200);
}

#[tokio::test]
async fn who_may_not_wake_agents_is_told_so_or_left_alone() {
    let house = house(SlackRules { users: "U7".parse().unwrap(), ..SlackRules::default() });
    let answer = house.slack(FORM, COMMAND).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["response_type"]), (200, &json!("ephemeral")));
    assert_eq!(house.slack(JSON, &mention()).await.status, 200);
    let stop = said(json!({"type": "agent_session_stopped", "channel": "C1", "thread_ts": "17.1", "user": "U1"}));
    assert_eq!(house.slack(JSON, &stop).await.status, 200);
    assert!(topics(&house).is_empty() && house.operator.verbs.lock().unwrap().is_empty());
    let by_u7 = mention().replace("\"U1\"", "\"U7\"");
    assert_eq!(house.slack(JSON, &by_u7).await.status, 200);
    assert_eq!(topics(&house), ["slack.events.app_mention.C1"]);
}

#[tokio::test]
async fn a_bot_is_heard_if_it_is_named_and_only_so_often() {
    let by_bot = |ts: u32| {
        said(json!({"type": "message", "subtype": "bot_message", "bot_id": "B1", "text": "x", "channel": "C1",
            "ts": format!("18.{ts}"), "thread_ts": "17.1"}))
    };
    let deaf = House::new();
    assert_eq!(deaf.slack(JSON, &by_bot(0)).await.status, 200);
    assert!(topics(&deaf).is_empty());
    let house = house(SlackRules { bots: vec!["B1".into()], ..SlackRules::default() });
    for ts in 0..20 {
        assert_eq!(house.slack(JSON, &by_bot(ts)).await.status, 200);
    }
    assert_eq!(topics(&house).len(), 5, "two bots do not talk for ever");
    let person = said(
        json!({"type": "message", "user": "U1", "text": "go on", "channel": "C1", "ts": "19.1", "thread_ts": "17.1"}),
    );
    house.slack(JSON, &person).await;
    house.slack(JSON, &by_bot(30)).await;
    assert_eq!(topics(&house).len(), 7);
    let own =
        said(json!({"type": "message", "bot_id": "B1", "app_id": "A1", "text": "x", "channel": "C1", "ts": "20.1"}));
    house.slack(JSON, &own).await;
    assert_eq!(topics(&house).len(), 7, "the app's own words are never heard, named or not");
}

#[tokio::test]
async fn a_direct_message_and_a_thread_of_ours_have_a_second_topic_under_the_same_id() {
    let house = House::new();
    let direct =
        json!({"type": "message", "channel_type": "im", "user": "U1", "text": "hi", "channel": "D1", "ts": "5"});
    house.slack(JSON, &said(direct)).await;
    let mut thread =
        json!({"type": "message", "user": "U1", "text": "and?", "channel": "C1", "ts": "18", "thread_ts": "17.1"});
    house.slack(JSON, &said(thread.clone())).await;
    thread["parent_user_id"] = json!("UBOT");
    thread["ts"] = json!("19");
    house.slack(JSON, &said(thread)).await;
    let wanted = ["message.D1", "direct_message.D1", "message.C1", "message.C1", "thread.C1"];
    assert_eq!(topics(&house), wanted.map(|topic| format!("slack.events.{topic}")));
    let events = house.operator.events.lock().unwrap();
    assert_eq!(events[0].event_id, events[1].event_id, "whoever listens to both has it once");
    assert_eq!(events[3].event_id, events[4].event_id);
}

#[tokio::test]
async fn a_click_that_cannot_be_taken_in_is_answered_where_people_see_it() {
    let slack = FakeSlack::start(&[]).await;
    let rules = SlackRules::default();
    let web = std::sync::Arc::new(SlackWeb::new(slack.options(None)).unwrap());
    let house = House::with(|doors| doors.slack = SlackDoor::new([SECRET.into()], rules, web));
    house.operator.set(Mood::Unavailable);
    let payload = json!({"type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "trigger_id": "1",
        "response_url": format!("{}/clicked", slack.base), "actions": [{"action_id": "a", "value": "b"}]});
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    let answer = house.slack(FORM, &body).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    assert_eq!(slack.post(0).await["response_type"], "ephemeral");
}

#[tokio::test]
async fn organisations_guests_and_shared_channels_are_understood() {
    let house = House::new();
    let guest = json!({
        "type": "event_callback", "team_id": "T9", "context_team_id": "T1", "event_id": "Ev8", "is_ext_shared_channel": true,
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
        "event": {"type": "app_mention", "user": "U9", "user_team": "T9", "text": "<@UBOT> hi", "channel": "C1", "ts": "1"},
    });
    assert_eq!(house.slack(JSON, &guest.to_string()).await.status, 200);
    let organisation = "command=%2Fsupport&text=x&user_id=U1&channel_id=C1&team_id=&enterprise_id=E1&trigger_id=3";
    assert_eq!(house.slack(FORM, organisation).await.status, 200);
    let events = house.operator.events.lock().unwrap();
    let to = |n: usize| match &events[n].reply_to {
        Some(ReplyTo::Slack(to)) => to.clone(),
        _ => panic!("no reply address"),
    };
    assert_eq!(to(0).team_id.as_deref(), Some("T1"), "the workspace that installed the app has the token");
    assert_eq!(to(0).user.unwrap().to_string(), "slack:T9:U9", "who asks is a person of another one");
    assert_eq!(to(1).user.unwrap().to_string(), "slack:E1:U1");
}

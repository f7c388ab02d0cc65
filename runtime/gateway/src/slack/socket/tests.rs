//! What of a request by a socket is acknowledged.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    frame::{Frame, read},
    line::answer,
};
use crate::{
    Doors,
    slack::{SlackDoor, SlackRules},
    testing::{House, Mood, web},
};

/// A house to which no signed request leads: only the socket.
fn house() -> (House, Arc<Doors>) {
    let mut kept = None;
    let house = House::with(|doors| {
        doors.slack = Some(SlackDoor::without_secrets(SlackRules::default(), web()));
        kept = Some(Arc::new(doors.clone()));
    });
    (house, kept.unwrap())
}

async fn told(doors: &Arc<Doors>, frame: Value) -> Option<Value> {
    let Frame::Request(envelope) = read(&frame.to_string()) else { panic!("no request: {frame}") };
    answer(Arc::clone(doors), *envelope).await.map(|told| serde_json::from_str(&told).unwrap())
}

fn mention() -> Value {
    let event = json!({"type": "app_mention", "user": "U1", "text": "<@UBOT> hi", "channel": "C1", "ts": "17.1"});
    json!({"type": "events_api", "envelope_id": "e1", "accepts_response_payload": false, "payload": {
        "type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event,
        "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}]}})
}

fn command() -> Value {
    json!({"type": "slash_commands", "envelope_id": "e2", "accepts_response_payload": true, "payload": {
        "command": "/support", "text": "hi", "user_id": "U1", "team_id": "T1", "channel_id": "C1", "trigger_id": "1.2"}})
}

#[tokio::test]
async fn what_was_taken_in_is_acknowledged() {
    let (house, doors) = house();
    assert_eq!(told(&doors, mention()).await, Some(json!({"envelope_id": "e1"})));
    assert_eq!(told(&doors, command()).await, Some(json!({"envelope_id": "e2"})));
    let topics: Vec<String> =
        house.operator.events.lock().unwrap().iter().map(|event| event.event_type.clone()).collect();
    assert_eq!(topics, ["slack.events.app_mention.C1", "slack.events.command.support"]);
    // What will never be understood is not wanted again.
    let nonsense = json!({"type": "events_api", "envelope_id": "e3", "payload": {"type": "event_callback"}});
    assert_eq!(told(&doors, nonsense).await, Some(json!({"envelope_id": "e3"})));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_taken_in_is_not_and_people_are_told() {
    let (house, doors) = house();
    for mood in [Mood::Unavailable, Mood::Hangs] {
        house.operator.set(mood);
        assert_eq!(told(&doors, mention()).await, None, "Slack sends it again");
        let said = told(&doors, command()).await.unwrap();
        assert_eq!((&said["envelope_id"], &said["payload"]["response_type"]), (&json!("e2"), &json!("ephemeral")));
        assert!(said["payload"]["text"].as_str().unwrap().starts_with("Sorry"), "{said}");
    }
}

#[tokio::test]
async fn a_door_for_the_socket_alone_takes_no_request_by_http() {
    let (house, _) = house();
    house.slack("application/json", r#"{"type":"event_callback"}"#).await.problem(503, "slack_not_configured");
    assert!(house.operator.events.lock().unwrap().is_empty());
}

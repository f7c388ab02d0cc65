//! An agent's state, looked at, set back, and moved.

use greenroom_contract::port::{
    llm::{Message, Role},
    memory::Memory,
};
use serde_json::{Value, json};

use crate::testing::{House, Kept};

fn talked(messages: usize) -> Kept {
    let say = |number: usize| {
        Message::text(if number.is_multiple_of(2) { Role::User } else { Role::Assistant }, number.to_string())
    };
    Kept { version: 7, data: json!({ "mood": "glad" }), messages: (0..messages).map(say).collect() }
}

fn house() -> House {
    let house = House::new();
    house.state.states.lock().unwrap().extend([(String::new(), talked(1200)), ("C1".to_owned(), talked(2))]);
    let at = "2026-11-26T09:00:00Z".parse().unwrap();
    house.state.memories.lock().unwrap().push(Memory { key: "city".into(), text: "Oslo".into(), at });
    house
}

#[tokio::test]
async fn a_state_is_shown_with_its_messages_newest_first() {
    let house = house();
    let shown = house.get("/v1/agents/researcher/state").await.json();
    assert_eq!((&shown["version"], &shown["messages"], &shown["conversation"]), (&json!(7), &json!(1200), &json!("")));
    assert_eq!((&shown["data"]["mood"], &shown["memories"][0]["text"]), (&json!("glad"), &json!("Oslo")));
    let other = house.get("/v1/agents/researcher/state?conversation=C1").await.json();
    assert_eq!(other["messages"], 2);
    let none = house.get("/v1/agents/researcher/state?conversation=C9").await.json();
    assert_eq!((&none["version"], &none["data"]), (&json!(0), &Value::Null));
    let list = house.get("/v1/agents/researcher/conversations").await.json();
    assert_eq!((&list["items"][1]["conversation"], &list["items"][1]["messages"]), (&json!("C1"), &json!(2)));

    let first = house.get("/v1/agents/researcher/state/messages?limit=3").await.json();
    let numbers: Vec<_> = first["items"].as_array().unwrap().iter().map(|one| one["number"].clone()).collect();
    assert_eq!((numbers, &first["next_cursor"]), (vec![json!(1199), json!(1198), json!(1197)], &json!("1197")));
    assert_eq!(first["items"][0]["parts"][0]["text"], "1199");
    let last = house.get("/v1/agents/researcher/state/messages?limit=3&cursor=2").await.json();
    assert_eq!((last["items"].as_array().map(Vec::len), &last["next_cursor"]), (Some(2), &Value::Null));
    house.get("/v1/agents/researcher/state/messages?cursor=x").await.problem(400, "bad_parameter");
}

#[tokio::test]
async fn a_reset_takes_one_conversation_unless_all_are_asked_for() {
    let house = house();
    let versions = || {
        let states = house.state.states.lock().unwrap();
        states.values().map(|kept| (kept.version, kept.messages.len())).collect::<Vec<_>>()
    };
    house.post("/v1/agents/researcher/reset?version=6", json!({})).await.problem(409, "conflict");
    let done = house.post("/v1/agents/researcher/reset?version=7", json!({})).await.json();
    assert_eq!(done["conversations"], json!([{ "conversation": "", "version": 8, "messages": 0 }]));
    assert_eq!(versions(), [(8, 0), (7, 2)]);
    assert_eq!(house.state.memories.lock().unwrap().len(), 1);
    house.post("/v1/agents/researcher/reset?all=true&memories=true", json!({})).await.json();
    assert_eq!(versions(), [(9, 0), (8, 0)]);
    assert_eq!(house.state.memories.lock().unwrap().len(), 0);
    for bad in ["?all=true&conversation=C1", "?all=true&version=3", "?everything=true"] {
        house.post(&format!("/v1/agents/researcher/reset{bad}"), json!({})).await.problem(400, "bad_parameter");
    }
    house.state.states.lock().unwrap().clear();
    house.post("/v1/agents/nobody/reset", json!({})).await.problem(404, "not_found");
    house.get("/v1/agents/nobody/state").await.problem(404, "not_found");
}

#[tokio::test]
async fn what_was_exported_is_imported_as_it_was() {
    let house = house();
    let archive = house.get("/v1/agents/researcher/export?all=true").await.json();
    assert_eq!((&archive["format"], &archive["format_version"]), (&json!("greenroom.agent-state"), &json!(1)));
    assert_eq!(archive["conversations"][0]["messages"].as_array().map(Vec::len), Some(1200));
    let import = "/v1/agents/researcher/import";
    let refused = house.post(import, archive.clone()).await.problem(409, "conflict");
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("replace=true")), "{refused}");

    house.post("/v1/agents/researcher/reset?all=true&memories=true", json!({})).await.json();
    let done = house.post(import, archive.clone()).await.json();
    assert_eq!(done["conversations"][0], json!({ "conversation": "", "version": 9, "messages": 1200 }));
    let again = house.get("/v1/agents/researcher/export?all=true").await.json();
    for part in ["memories", "agent"] {
        assert_eq!(again[part], archive[part]);
    }
    assert_eq!(again["conversations"][0]["messages"], archive["conversations"][0]["messages"]);

    let mut cut = archive.clone();
    cut["conversations"][0]["messages"].as_array_mut().unwrap().truncate(10);
    let refused = house.post(&format!("{import}?replace=true"), cut).await.problem(422, "invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/digest");
    let mut newer = archive;
    newer["format_version"] = json!(2);
    house.post(&format!("{import}?replace=true"), newer).await.problem(422, "invalid");
    house.post(import, json!({ "format": "greenroom.agent-state" })).await.problem(422, "invalid");
    let one = house.get("/v1/agents/researcher/export?conversation=C1").await.json();
    assert_eq!(one["conversations"].as_array().map(Vec::len), Some(1));
    house.post(&format!("{import}?replace=true"), one).await.json();
}

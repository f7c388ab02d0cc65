//! Agents' states from outside.

use std::time::Duration;

use greenroom_contract::{
    AgentId,
    page::PageRequest,
    port::{
        llm::{Message, Role},
        memory::{Memory, Remember},
        state::{CheckpointKey, Error, Finish, NewCheckpoint, NewState, NewStates, Release},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Stage,
    stage::{agent, end, node, retry, succeeded},
};

fn key(agent: &AgentId, conversation: &str) -> CheckpointKey {
    CheckpointKey { agent: agent.clone(), conversation: conversation.to_owned() }
}

fn says(texts: &[&str]) -> Vec<Message> {
    texts.iter().map(|text| Message::text(Role::User, *text)).collect()
}

/// An execution that leaves a state.
async fn leave(stage: &Stage, key: CheckpointKey, replaces: u64, texts: &[&str]) {
    let claimed = stage.running(&key.agent, &node("here")).await;
    let checkpoint = NewCheckpoint { key, replaces, data: json!({ "from": "work" }), append: says(texts) };
    let finish = Finish { checkpoint: Some(checkpoint), ..end(succeeded()) };
    stage.state.finish(claimed.fence, finish).await.unwrap();
}

fn instead(agent: &AgentId, conversation: &str, replaces: u64, texts: &[&str]) -> NewStates {
    let (conversation, messages) = (conversation.to_owned(), says(texts));
    let state = NewState { conversation, replaces, data: json!({ "from": "operator" }), messages };
    NewStates { agent: agent.clone(), states: vec![state], memories: None }
}

/// In pages, by agent, with what each has.
pub async fn conversations_are_listed_and_read_in_pieces(stage: Stage) {
    let (talk, other) = (agent("talk"), agent("other"));
    leave(&stage, key(&talk, ""), 0, &["one", "two", "three"]).await;
    leave(&stage, key(&talk, "C1"), 0, &["hi"]).await;
    leave(&stage, key(&other, "C2"), 0, &["secret"]).await;
    leave(&stage, key(&talk, "C3"), 0, &[]).await;

    let ask = |limit, cursor| stage.state.conversations(&talk, PageRequest { limit, cursor });
    let first = ask(2, None).await.unwrap();
    let rest = ask(2, first.next_cursor.clone()).await.unwrap();
    assert_eq!(rest.next_cursor, None);
    let all: Vec<_> = first.items.iter().chain(&rest.items).collect();
    let all: Vec<_> = all.iter().map(|row| (row.conversation.as_str(), row.version, row.messages)).collect();
    assert_eq!(all, [("C3", 1, 0), ("C1", 1, 1), ("", 1, 3)]);
    assert!(matches!(ask(2, Some("e1".into())).await, Err(Error::Conflict { .. })));

    let own = key(&talk, "");
    let read = |before, limit| stage.state.transcript(&own, before, limit);
    let newest = read(None, 2).await.unwrap();
    assert_eq!((newest.version, newest.length, newest.first, newest.messages), (1, 3, 1, says(&["two", "three"])));
    let older = read(Some(1), 2).await.unwrap();
    assert_eq!((older.first, older.messages), (0, says(&["one"])));
    assert_eq!(read(Some(99), 9).await.unwrap().messages.len(), 3);
    let none = stage.state.transcript(&key(&talk, "unknown"), None, 9).await.unwrap();
    assert_eq!((none.version, none.length, none.messages.len()), (0, 0, 0));
    assert_eq!(stage.state.transcript(&key(&other, ""), None, 9).await.unwrap().version, 0);
}

/// Nothing of the old one is left, work goes on from the new one, and no version comes twice.
pub async fn a_state_is_set_anew_as_a_whole_and_its_version_rises(stage: Stage) {
    let talk = agent("talk");
    leave(&stage, key(&talk, ""), 0, &["one", "two", "three"]).await;
    // Whatever keeps checkpoints at hand has this one now.
    assert_eq!(stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap().version, 1);
    let reset = NewStates {
        agent: talk.clone(),
        states: vec![NewState { conversation: String::new(), replaces: 1, data: Value::Null, messages: vec![] }],
        memories: None,
    };
    stage.state.set_states(reset).await.unwrap();
    let empty = stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap();
    assert_eq!((empty.version, empty.data, empty.length, empty.messages.len()), (2, Value::Null, 0, 0));

    leave(&stage, key(&talk, ""), 2, &["four"]).await;
    let after = stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap();
    assert_eq!((after.version, after.length, after.messages), (3, 1, says(&["four"])));

    let long: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    stage.state.set_states(instead(&talk, "", 3, &long)).await.unwrap();
    stage.state.set_states(instead(&talk, "new", 0, &["hello"])).await.unwrap();
    let set = stage.state.checkpoint(&key(&talk, ""), 3).await.unwrap();
    assert_eq!((set.version, set.length, set.data), (4, 300, json!({ "from": "operator" })));
    assert_eq!(set.messages, says(&["297", "298", "299"]));
    leave(&stage, key(&talk, ""), 4, &["after"]).await;
    let all = stage.state.transcript(&key(&talk, ""), None, 1000).await.unwrap();
    assert_eq!((all.length, all.first, all.messages[300].clone()), (301, 0, says(&["after"])[0].clone()));
    assert_eq!(stage.state.checkpoint(&key(&talk, "new"), 3).await.unwrap().messages, says(&["hello"]));
}

/// One that is behind, ahead, or first where there is one already changes nothing, also of its neighbours.
pub async fn a_state_is_set_only_over_the_version_that_is_known(stage: Stage) {
    let talk = agent("talk");
    leave(&stage, key(&talk, ""), 0, &["one"]).await;
    leave(&stage, key(&talk, ""), 1, &["two"]).await;
    for wrong in [0, 1, 3] {
        let mut states = instead(&talk, "beside", 0, &["lost"]);
        states.states.extend(instead(&talk, "", wrong, &["lost"]).states);
        states.memories = Some(vec![]);
        let refused = stage.state.set_states(states).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "version {wrong} was replaced: {refused:?}");
    }
    let kept = stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap();
    assert_eq!((kept.version, kept.messages), (2, says(&["one", "two"])));
    assert_eq!(stage.state.checkpoint(&key(&talk, "beside"), 10).await.unwrap().version, 0);
}

/// Neither while it runs, nor while it is queued with calls that it has made; another attempt begins afresh.
pub async fn a_state_is_not_set_under_work_that_began_with_it(stage: Stage) {
    let (talk, other) = (agent("talk"), agent("other"));
    let set = || stage.state.set_states(instead(&talk, "", 0, &["new"]));
    let refused = async |when: &str| {
        let refused = set().await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{when}: {refused:?}");
    };
    let claimed = stage.running(&talk, &node("here")).await;
    refused("it runs").await;
    stage.state.set_states(instead(&other, "", 0, &["new"])).await.unwrap();

    stage.step(&claimed, 0, None).await;
    stage.state.release(claimed.fence, Release::Unfinished).await.unwrap();
    refused("it goes on with its calls").await;

    let again = stage.claim_one(&talk, &node("here")).await;
    stage.finish(&again, retry(Duration::ZERO)).await;
    set().await.unwrap();
    assert_eq!(stage.state.checkpoint(&key(&talk, ""), 9).await.unwrap().messages, says(&["new"]));
}

/// Wholly, and of this agent alone; or not at all.
pub async fn what_an_agent_keeps_in_mind_is_set_anew(stage: Stage) {
    let (ada, bob) = (agent("ada"), agent("bob"));
    for agent in [&ada, &bob] {
        let claimed = stage.running(agent, &node("here")).await;
        let remembers = vec![Remember { key: "city".into(), text: Some("Oslo".into()) }];
        stage.state.finish(claimed.fence, Finish { remembers, ..end(succeeded()) }).await.unwrap();
    }
    let kept = async |agent: &AgentId| stage.state.memories(agent, 10).await.unwrap();
    let nothing = |memories| NewStates { agent: ada.clone(), states: vec![], memories };
    stage.state.set_states(nothing(None)).await.unwrap();
    assert_eq!(kept(&ada).await.len(), 1);
    let at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let pet = Memory { key: "pet".into(), text: "a cat".into(), at };
    stage.state.set_states(nothing(Some(vec![pet.clone()]))).await.unwrap();
    assert_eq!(kept(&ada).await, [pet]);
    stage.state.set_states(nothing(Some(vec![]))).await.unwrap();
    assert_eq!((kept(&ada).await.len(), kept(&bob).await.len()), (0, 1));
}

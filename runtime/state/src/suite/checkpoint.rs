//! The agents' own state.

use greenroom_contract::{
    AgentId,
    port::{
        llm::{Message, Role},
        state::{CheckpointKey, Error, Finish, NewCheckpoint, Result},
    },
};
use serde_json::{Value, json};

use super::{
    Stage,
    stage::{agent, end, node, succeeded},
};

fn key(agent: &AgentId, conversation: &str) -> CheckpointKey {
    CheckpointKey { agent: agent.clone(), conversation: conversation.to_owned() }
}

/// Runs one execution of `by` that leaves a checkpoint.
async fn leave(
    stage: &Stage,
    by: &AgentId,
    key: CheckpointKey,
    replaces: u64,
    data: Value,
    say: &[&str],
) -> Result<()> {
    let claimed = stage.running(by, &node("here")).await;
    let append = say.iter().map(|text| Message::text(Role::User, *text)).collect();
    let checkpoint = Some(NewCheckpoint { key, replaces, data, append });
    stage.state.finish(claimed.fence, Finish { checkpoint, ..end(succeeded()) }).await
}

fn texts(messages: &[Message]) -> Vec<Value> {
    messages.iter().map(|message| serde_json::to_value(message).unwrap()["parts"][0]["text"].clone()).collect()
}

/// Version by version; messages add up and come back newest last, as many as asked for.
pub async fn checkpoints_follow_each_other(stage: Stage) {
    let talk = agent("talk");
    let none = stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap();
    assert_eq!((none.version, none.length, none.messages.len()), (0, 0, 0));
    leave(&stage, &talk, key(&talk, ""), 0, json!({ "mood": "new" }), &["one", "two"]).await.unwrap();
    leave(&stage, &talk, key(&talk, ""), 1, json!({ "mood": "calm" }), &[]).await.unwrap();
    leave(&stage, &talk, key(&talk, ""), 2, json!({ "mood": "glad" }), &["three"]).await.unwrap();

    let latest = stage.state.checkpoint(&key(&talk, ""), 2).await.unwrap();
    assert_eq!((latest.version, latest.length, latest.data), (3, 3, json!({ "mood": "glad" })));
    assert_eq!(texts(&latest.messages), ["two", "three"]);
    let all = stage.state.checkpoint(&key(&talk, ""), 100).await.unwrap();
    assert_eq!(texts(&all.messages), ["one", "two", "three"]);
    assert!(stage.state.checkpoint(&key(&talk, ""), 0).await.unwrap().messages.is_empty());
}

/// One that is behind, ahead or first where there is one already changes nothing.
pub async fn a_checkpoint_replaces_only_the_version_that_it_knows(stage: Stage) {
    let talk = agent("talk");
    leave(&stage, &talk, key(&talk, ""), 0, json!(1), &["one"]).await.unwrap();
    leave(&stage, &talk, key(&talk, ""), 1, json!(2), &["two"]).await.unwrap();
    for wrong in [0, 1, 3] {
        let refused = leave(&stage, &talk, key(&talk, ""), wrong, json!("lost"), &["lost"]).await;
        assert!(matches!(refused, Err(Error::Conflict { .. })), "version {wrong} was replaced: {refused:?}");
    }
    let kept = stage.state.checkpoint(&key(&talk, ""), 10).await.unwrap();
    assert_eq!((kept.version, kept.data, texts(&kept.messages)), (2, json!(2), vec![json!("one"), json!("two")]));
}

/// Neither by reading nor by writing, and one conversation does not see another's.
pub async fn no_agent_reaches_anothers_state(stage: Stage) {
    let (a, b) = (agent("a"), agent("b"));
    leave(&stage, &a, key(&a, "C1"), 0, json!("a's own"), &["secret"]).await.unwrap();
    for other in [key(&b, "C1"), key(&a, "C2"), key(&a, "")] {
        let found = stage.state.checkpoint(&other, 10).await.unwrap();
        assert_eq!((found.version, found.data, found.messages.len()), (0, Value::Null, 0), "{other:?} sees C1 of a");
    }
    let refused = leave(&stage, &b, key(&a, "C1"), 1, json!("b was here"), &["b"]).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    leave(&stage, &b, key(&b, "C1"), 0, json!("b's own"), &[]).await.unwrap();
    let kept = stage.state.checkpoint(&key(&a, "C1"), 10).await.unwrap();
    assert_eq!((kept.version, kept.data, texts(&kept.messages)), (1, json!("a's own"), vec![json!("secret")]));
}

/// The first writing of a version stands.
pub async fn versions_of_a_definition_are_kept(stage: Stage) {
    let (a, b) = (agent("a"), agent("b"));
    stage.state.save_version(&a, "v1", json!({ "model": "first" })).await.unwrap();
    stage.state.save_version(&a, "v1", json!({ "model": "first" })).await.unwrap();
    stage.state.save_version(&a, "v2", json!({ "model": "second" })).await.unwrap();
    let version = async |agent, version| stage.state.version(agent, version).await.unwrap();
    assert_eq!(version(&a, "v1").await, Some(json!({ "model": "first" })));
    assert_eq!(version(&a, "v2").await, Some(json!({ "model": "second" })));
    assert_eq!((version(&a, "v3").await, version(&b, "v1").await), (None, None));
}

//! The hot tier: the port's behaviours through it, and a Redis that lies, forgets, freezes and dies.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

use std::{sync::Arc, time::Duration};

use fred::prelude::{Builder, ClientLike, Config, KeysInterface, ServerInterface};
use greenroom_contract::{
    AgentId, Event, NodeId, TraceId,
    port::{
        llm::{Message, Role},
        operator::HealthStatus,
        state::{Accepted, Arrival, Checkpoint, CheckpointKey, Conclusion, Error, Finish, NewCheckpoint, State},
    },
};
use greenroom_state::{
    PostgresState, RedisTier, Tiered,
    postgres::{self, Time},
    redis,
    suite::{ManualClock, Stage},
};
use kit::{
    servers::{Database, Kind, Server, shared},
    wait,
};
use serde_json::{Value, json};

const LIMIT: Duration = wait::PATIENCE;

async fn found(tier: &RedisTier) {
    wait::until("Redis is found", LIMIT, async || tier.health().status == HealthStatus::Ok).await;
}

async fn fresh() -> Stage {
    let clock = Arc::new(ManualClock::default());
    let (database, redis) = (shared().database().await, shared().redis());
    let time = Time::Given(clock.clone());
    let options = postgres::Options { time, writers: 2, readers: 2, ..postgres::Options::default() };
    let durable = PostgresState::connect(&database.url, options).await.unwrap();
    let tier = RedisTier::start(&redis.url, redis::Options::default()).unwrap();
    found(&tier).await;
    Stage::new(Arc::new(Tiered::new(Arc::new(durable), tier)), clock, (database, redis))
}

greenroom_state::state_suite!(fresh);

/// A store through a private Redis, and the same store without it.
struct Tiers {
    durable: PostgresState,
    tier: RedisTier,
    state: Tiered,
    _database: Database,
}

impl Tiers {
    async fn on(redis: &str) -> Self {
        let database = shared().database().await;
        let durable = PostgresState::connect(&database.url, postgres::Options::default()).await.unwrap();
        let tier = RedisTier::start(redis, redis::Options::default()).unwrap();
        let state = Tiered::new(Arc::new(durable.clone()), tier.clone());
        Self { durable, tier, state, _database: database }
    }
}

fn agent() -> AgentId {
    "talk".parse().unwrap()
}

fn key() -> CheckpointKey {
    CheckpointKey { agent: agent(), conversation: "C1".to_owned() }
}

/// One execution that leaves a version of the conversation.
async fn leave(state: &dyn State, replaces: u64, data: Value) {
    let event = Event::new(agent().input_topic(), "test", TraceId::new(), json!("work"));
    let claim = Some(NodeId::new("here"));
    let arrival = Arrival { agent: agent(), version: "v1".to_owned(), event, claim };
    let Accepted::Claimed(claimed) = state.accept(arrival).await.unwrap() else { panic!("not claimed") };
    let append = vec![Message::text(Role::User, format!("message {replaces}"))];
    let checkpoint = Some(NewCheckpoint { key: key(), replaces, data, append });
    let conclusion = Conclusion::Succeeded(json!("done"));
    state.finish(claimed.fence, Finish { checkpoint, ..Finish::of(conclusion) }).await.unwrap();
}

async fn latest(state: &dyn State) -> (u64, Value, u64, usize) {
    let Checkpoint { version, data, length, messages } = state.checkpoint(&key(), 10).await.unwrap();
    (version, data, length, messages.len())
}

/// Another node writes past this one's cache, the cache is emptied, or filled with nonsense: what is read is the latest.
#[tokio::test]
async fn what_is_stale_lost_or_damaged_is_never_believed() {
    let redis = Server::start(Kind::Redis).await;
    let tiers = Tiers::on(redis.url()).await;
    found(&tiers.tier).await;
    let client = Builder::from_config(Config::from_url(redis.url()).unwrap()).build().unwrap();
    client.init().await.unwrap();
    let keys = async || client.dbsize::<u64>().await.unwrap();
    for version in 1..=4 {
        // Read through the cache, so that it is filled; then written through it or past it.
        assert_eq!(latest(&tiers.state).await.0, version - 1);
        let writer: &dyn State = if version % 2 == 0 { &tiers.durable } else { &tiers.state };
        leave(writer, version - 1, json!(version)).await;
        assert_eq!(latest(&tiers.state).await, (version, json!(version), version, version as usize));
    }
    wait::until("the cache holds something", LIMIT, async || keys().await > 0).await;
    client.flushall::<()>(false).await.unwrap();
    assert_eq!(latest(&tiers.state).await, (4, json!(4), 4, 4));
    // Each of these is a node that has seen nothing of it yet.
    let another = || Tiered::new(Arc::new(tiers.durable.clone()), tiers.tier.clone());
    assert_eq!(latest(&another()).await, (4, json!(4), 4, 4));
    wait::until("the cache is filled again", LIMIT, async || keys().await > 0).await;
    let nonsense = "99999999999999999999 nonsense";
    client.set::<(), _, _>("greenroom:checkpoint:talk:C1", nonsense, None, None, false).await.unwrap();
    assert_eq!(latest(&another()).await, (4, json!(4), 4, 4));
}

/// A Redis that is away at the start, killed, frozen, and back each time: every answer is right, the component says how it
/// is, and nobody waits for it while it is left alone.
#[tokio::test]
async fn a_redis_that_fails_is_left_alone_and_used_again() {
    let mut redis = Server::start(Kind::Redis).await;
    redis.kill().await;
    let tiers = Tiers::on(redis.url()).await;
    let (state, tier) = (&tiers.state, &tiers.tier);
    leave(state, 0, json!(1)).await;
    assert_eq!(latest(state).await.0, 1);
    let health = tier.health();
    assert_eq!((health.component.as_str(), health.status), ("cache", HealthStatus::Degraded));
    assert!(health.reason.unwrap().contains("Redis at "));

    redis.start_again().await;
    found(tier).await;
    assert_eq!(latest(state).await.0, 1);
    for (version, freeze) in [(1, false), (2, true)] {
        if freeze {
            redis.freeze()
        } else {
            redis.kill().await
        }
        leave(state, version, json!(version + 1)).await;
        assert_eq!(latest(state).await.0, version + 1);
        wait::until("Redis is left alone", LIMIT, async || {
            assert_eq!(latest(state).await.0, version + 1);
            tier.health().status == HealthStatus::Degraded
        })
        .await;
        if freeze {
            redis.thaw()
        } else {
            redis.start_again().await
        }
        found(tier).await;
        assert_eq!(latest(state).await.0, version + 1);
    }
}

#[tokio::test]
async fn a_url_that_makes_no_sense_is_refused_without_telling_the_password() {
    let refused = RedisTier::start("http//:hunter2@", redis::Options::default()).unwrap_err();
    assert!(matches!(&refused, Error::Conflict { .. }) && !refused.to_string().contains("hunter2"), "{refused:?}");
}

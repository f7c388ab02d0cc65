//! What supervision promises, on paused time.

use std::time::Duration;

use kit::house::{Act, World};

use super::agents::{agent, secs, succeeded};

#[tokio::test(start_paused = true)]
async fn a_house_opens_works_and_closes_without_a_trace() {
    let world = World::default();
    let house = world.open(&[agent("a", "")]).await;
    assert_eq!(house.ask("a", "hello").await.output, Some("re: hello".into()));
    house.assert_idle().await;
    let closed = house.close().await;
    assert!(closed.agents && closed.services && closed.given_back == 0, "{closed:?}");
}

/// An agent whose executions have one attempt, so that each failure is one of the agent's.
fn strict(name: &str, supervision: &str) -> String {
    agent(name, &format!("limits: {{max_attempts: 1}}\nsupervision: {{{supervision}}}"))
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_are_exactly_one_restart() {
    let world = World::default();
    world.model.plays(|asked| if asked.question == "fail" { Act::fail() } else { Act::Say("ok".into()) });
    let house = world.open(&[strict("a", "")]).await;
    for _ in 0..3 {
        assert_eq!(house.ask("a", "fail").await.status.as_str(), "dead");
    }
    house.until("the restart", || house.place("agents/a/0").is_some_and(|place| place.generation == 2)).await;
    house.pass(secs(60)).await;
    let place = house.place("agents/a/0").unwrap();
    assert_eq!((place.generation, place.restarts), (2, 1));
    assert_eq!(house.view("a").unwrap().restarts, 1);
    assert!(place.failures[0].failure.message.contains("failed in a row: 3"), "{:?}", place.failures);
    succeeded(&house, "a").await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_success_between_failures_begins_the_count_anew() {
    let world = World::default();
    world.model.plays(|asked| if asked.question == "fail" { Act::fail() } else { Act::Say("ok".into()) });
    let house = world.open(&[strict("a", "")]).await;
    for _ in 0..6 {
        for question in ["fail", "ok", "fail", "fail", "ok"] {
            house.ask("a", question).await;
        }
    }
    house.pass(secs(60)).await;
    let place = house.place("agents/a/0").unwrap();
    assert_eq!((place.generation, place.restarts), (1, 0));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_parks_the_agent_and_leaves_its_siblings_alone() {
    let world = World::default();
    world.model.plays(|asked| if asked.agent.as_str() == "bad" { Act::fail() } else { Act::Say("ok".into()) });
    let supervision = "failures_before_restart: 1, max_restarts: 5, window: 10m, backoff: {min: 100ms, max: 1s}";
    let house = world.open(&[strict("bad", supervision), strict("good", "")]).await;
    house.ask("good", "before").await;
    let before = house.place("agents/good/0").unwrap();
    let mut given = Vec::new();
    for n in 0..6 {
        given.push(house.ask("bad", &format!("try {n}")).await.id);
        house
            .until("the agent to be back or parked", || {
                house.view("bad").is_some_and(|view| view.status.as_str() != "restarting" && view.running == 0)
            })
            .await;
    }
    house.agent_is("bad", "failed").await;
    assert_eq!(house.view("bad").unwrap().restarts, 5);
    assert_eq!(house.view("bad").unwrap().reason.unwrap().code, "restart_budget_spent");
    house.ask("good", "after").await;
    let after = house.place("agents/good/0").unwrap();
    assert_eq!((after.generation, after.started_at, after.restarts), (1, before.started_at, 0));

    // Its messages wait, and an operator's restart sets it going.
    let waits = house.invoke("bad", "later").await;
    house.pass(secs(30)).await;
    assert_eq!(world.model.times("later"), 0);
    world.model.plays(|_| Act::Say("mended".into()));
    house.restart("bad").await;
    assert_eq!(house.ended(waits).await.status.as_str(), "succeeded");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_removed_during_its_backoff_never_returns() {
    let world = World::default();
    world.model.plays(|_| Act::fail());
    let house = world.open(&[strict("a", "failures_before_restart: 1, backoff: {min: 10s, max: 60s}")]).await;
    house.ask("a", "once").await;
    house.agent_is("a", "restarting").await;
    house.remove("a");
    house.until("the agent to be gone", || house.view("a").is_none()).await;
    let generation = house.place("agents/a/0").map(|place| place.generation);
    house.pass(secs(300)).await;
    assert_eq!(house.place("agents/a/0").map(|place| place.generation), generation);
    assert!(house.view("a").is_none() && house.try_invoke("a", "more").await.is_err());
    assert_eq!(world.model.asked().len(), 1);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_message_is_a_dead_letter_after_three_attempts_and_one_restart_at_most() {
    let world = World::default();
    world.model.plays(|asked| match asked.question.as_str() {
        "poison" => Act::fail(),
        _ => Act::Say("ok".into()),
    });
    let house = world.open(&[agent("a", "")]).await;
    let id = house.invoke("a", "poison").await;
    let others = [house.invoke("a", "one").await, house.invoke("a", "two").await];
    let poison = house.ended(id).await;
    assert_eq!((poison.status.as_str(), poison.attempt), ("dead", 3));
    assert_eq!(world.model.times("poison"), 3);
    for other in others {
        assert_eq!(house.ended(other).await.status.as_str(), "succeeded");
    }
    assert_eq!(house.letters().await, [id]);
    house.pass(secs(60)).await;
    assert!(house.view("a").unwrap().restarts <= 1);
    succeeded(&house, "a").await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_under_which_its_task_dies_three_times_is_a_dead_letter_too() {
    let world = World::default();
    world.model.plays(|asked| match asked.question.as_str() {
        "poison" => Act::Panic,
        _ => Act::Say("ok".into()),
    });
    let house = world.open(&[agent("a", "supervision: {max_restarts: 5, backoff: {min: 100ms, max: 1s}}")]).await;
    let id = house.invoke("a", "poison").await;
    let poison = house.ended(id).await;
    assert_eq!((poison.crashes, poison.error.unwrap().code.as_str()), (3, "poison"));
    assert_eq!((house.letters().await, world.model.times("poison")), (vec![id], 3));
    succeeded(&house, "a").await;
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_five_minutes_is_no_reason_to_restart_and_control_is_answered_meanwhile() {
    let world = World::default();
    world.model.plays(|asked| match asked.question.as_str() {
        "long" => Act::Stream(30, secs(10)),
        _ => Act::Say("short".into()),
    });
    let house = world.open(&[agent("a", "limits: {timeout: 10m}")]).await;
    let long = house.invoke("a", "long").await;
    house.until("the stream", || world.model.times("long") == 1).await;
    for n in 0..28 {
        house.pass(secs(10)).await;
        let start = tokio::time::Instant::now();
        house.pause("a").await;
        house.agent_is("a", "paused").await;
        house.resume("a").await;
        house.agent_is("a", "running").await;
        assert!(start.elapsed() <= secs(1), "control took {:?} at {n}", start.elapsed());
        assert_eq!(house.ask("a", &format!("short {n}")).await.output, Some("short".into()));
        assert!(start.elapsed() <= secs(2), "other work took {:?} at {n}", start.elapsed());
    }
    let long = house.ended(long).await;
    assert_eq!((long.status.as_str(), long.attempt, world.model.times("long")), ("succeeded", 1, 1));
    let place = house.place("agents/a/0").unwrap();
    assert_eq!((place.generation, place.restarts), (1, 0));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_million_waiting_messages_do_not_delay_a_control_message() {
    let world = World::default();
    world.model.plays(|_| Act::After(secs(30), "slow".into()));
    let house = world.open(&[agent("a", "concurrency: 8")]).await;
    house.agent_is("a", "idle").await;
    world.flood("a", 1_000_000);
    house.until("the agent to be at work", || house.view("a").is_some_and(|view| view.running == 8)).await;
    // Nothing but the credits' worth has left the queue.
    let input = house.queue("a");
    assert!(input.ready >= 999_000 && input.unacknowledged <= 9, "{input:?}");
    assert_eq!(house.place("agents/a").unwrap().inbox, 0);
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let start = std::time::Instant::now();
        house.pause("a").await;
        while house.view("a").unwrap().status.as_str() != "paused" {
            tokio::task::yield_now().await;
        }
        quickest = quickest.min(start.elapsed());
        house.resume("a").await;
        house.agent_is("a", "running").await;
    }
    // By this machine's clock, which others may keep waiting now and then; behind a million messages each would take long.
    assert!(quickest < Duration::from_millis(10), "a control message took {quickest:?}");
    world.drain("a");
    house.close().await;
}

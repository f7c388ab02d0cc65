//! What goes on through changes, stops and outages, on paused time.

use std::collections::BTreeSet;

use kit::house::{Act, Gate, House, World};
use serde_json::json;

use super::agents::{agent, secs, succeeded};

#[tokio::test(start_paused = true)]
async fn a_changed_file_lets_the_old_finish_and_the_new_serve_and_loses_nothing() {
    let world = World::default();
    world.model.plays(|asked| match asked.question.as_str() {
        "long" => Act::Tool("look".into(), json!({ "ms": 20_000, "say": "seen" })),
        _ => Act::After(secs(1), "short".into()),
    });
    let house = world.open(&[agent("a", "system_prompt: one")]).await;
    let long = house.invoke("a", "long").await;
    let old = house.view("a").unwrap().version;
    house.until("the long one to be at work", || world.model.times("long") == 1).await;

    let mut given = Vec::new();
    for n in 0..10 {
        given.push(house.invoke("a", &format!("racing {n}")).await);
    }
    house.define(&agent("a", "system_prompt: two\nconcurrency: 2"));
    for n in 10..20 {
        given.push(house.invoke("a", &format!("racing {n}")).await);
    }
    house.until("the new version", || house.view("a").is_some_and(|view| view.version != old)).await;
    assert_eq!(house.ask("a", "new").await.output, Some("short".into()));
    let after = world.model.asked().into_iter().find(|asked| asked.question == "new").unwrap();
    assert_eq!(after.system, "two");

    assert_eq!(house.ended(long).await.output, Some("seen".into()));
    let systems: Vec<String> =
        world.model.asked().into_iter().filter(|asked| asked.question == "long").map(|asked| asked.system).collect();
    assert_eq!(systems, ["one", "one"], "the old one finishes on the version that it began with");
    for id in given {
        assert_eq!(house.ended(id).await.status.as_str(), "succeeded");
    }
    for n in 0..20 {
        assert_eq!(world.model.times(&format!("racing {n}")), 1);
    }
    assert_eq!(house.view("a").unwrap().restarts, 0, "a reload is no restart");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_goes_and_comes_again_loses_nothing() {
    let world = World::default();
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |asked| match asked.question.as_str() {
        "held" => Act::Wait(shut.clone()),
        _ => Act::Say("ok".into()),
    });
    let house = world.open(&[agent("a", "")]).await;
    let held = house.invoke("a", "held").await;
    house.until("the work", || world.model.times("held") == 1).await;
    house.remove("a");
    assert!(house.try_invoke("a", "refused").await.is_err());
    // It is wanted again while it still finishes its work.
    house.define(&agent("a", "description: again"));
    gate.open();
    assert_eq!(house.ended(held).await.status.as_str(), "succeeded");
    house.agent_is("a", "idle").await;
    succeeded(&house, "a").await;
    assert_eq!(world.model.times("held"), 1);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_short_finish_gives_back_the_long_and_loses_nothing() {
    let world = World::default();
    world.model.plays(|asked| match (asked.question.as_str(), asked.before) {
        ("short", _) => Act::Stream(5, secs(1)),
        ("long", 0) => Act::Tool("act".into(), json!({ "say": "done once" })),
        ("long", 1) => Act::Silent,
        (question, _) => Act::Say(format!("re: {question}")),
    });
    let long = "limits: {timeout: 1h, silence: 1h}\nconcurrency: 1";
    let texts = [agent("idle", ""), agent("short", ""), agent("long", long)];
    let house = world.open(&texts).await;
    house.ask("idle", "hello").await;
    let short = house.invoke("short", "short").await;
    let held = house.invoke("long", "long").await;
    house.until("the long one's second call", || world.model.times("long") == 2).await;
    house.until("the short one", || world.model.times("short") == 1).await;
    let waiting = house.invoke("long", "waiting").await;

    let closed = house.close().await;
    assert!(closed.took <= secs(30), "{closed:?}");
    assert!(closed.agents && closed.services, "{closed:?}");
    assert_eq!(closed.given_back, 1);
    let tally = world.state.tally();
    assert_eq!((tally["succeeded"], tally["queued"]), (2, 2), "{tally:?}");

    let house = world.open(&texts).await;
    let resumed = house.ended(held).await;
    assert_eq!((resumed.status.as_str(), resumed.attempt, resumed.crashes), ("succeeded", 1, 0));
    assert_eq!(house.ended(waiting).await.output, Some("re: waiting".into()));
    assert_eq!(house.ended(short).await.status.as_str(), "succeeded");
    assert_eq!(world.model.made_again(), Vec::<String>::new(), "what was finished is not done again");
    house.assert_idle().await;
    assert_eq!(house.close().await.given_back, 0);
}

/// Puts load on three agents while something is away for a minute; returns how many events were taken in.
async fn load(world: &World, house: &House, switch: impl Fn(bool)) -> usize {
    let mut accepted = BTreeSet::new();
    for n in 0..90 {
        if n == 10 {
            switch(true);
        }
        if n == 70 {
            switch(false);
        }
        let agent = ["a", "b", "c"][n % 3];
        if let Ok(id) = house.try_invoke(agent, &format!("work {n}")).await {
            accepted.insert(id);
        }
        house.pass(secs(1)).await;
    }
    for id in &accepted {
        assert_eq!(house.ended(*id).await.status.as_str(), "succeeded");
    }
    for n in 0..90 {
        assert!(world.model.times(&format!("work {n}")) <= 1, "work {n} was paid for twice");
    }
    for name in ["a", "b", "c"] {
        let Some(view) = house.view(name) else { panic!("{name} is gone") };
        assert_eq!((view.restarts, view.status.as_str()), (0, "idle"), "{view:?}");
        succeeded(house, name).await;
    }
    house.assert_idle().await;
    accepted.len()
}

fn three() -> [String; 3] {
    ["a", "b", "c"].map(|name| agent(name, ""))
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_by_itself_after_the_store_was_away_for_a_minute() {
    let world = World::default();
    world.model.plays(|_| Act::After(secs(3), "ok".into()));
    let house = world.open(&three()).await;
    let accepted = load(&world, &house, |away| world.state.faults.unavailable(away)).await;
    assert_eq!(accepted, 30, "what came while the store was away is refused, everything else taken");
    assert!(world.state.faults.refused() > 60);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_refused_while_the_bus_is_away_for_a_minute() {
    let world = World::default();
    world.model.plays(|_| Act::After(secs(3), "ok".into()));
    let house = world.open(&three()).await;
    let accepted = load(&world, &house, |away| world.bus.faults().unavailable(away)).await;
    assert_eq!(accepted, 90, "the store takes it in, and the relay waits for the bus");
    assert!(world.bus.faults().refused() > 10);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_slows_and_breaks_nothing() {
    let world = World::default();
    let house = world.open(&three()).await;
    world.state.faults.latency(secs(2));
    let mut given = Vec::new();
    for n in 0..12 {
        given.push(house.invoke(["a", "b", "c"][n % 3], &format!("work {n}")).await);
    }
    for id in given {
        assert_eq!(house.ended(id).await.attempt, 1);
    }
    world.state.faults.latency(secs(0));
    house.assert_idle().await;
    house.close().await;
}

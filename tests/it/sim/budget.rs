//! Money, on paused time: what is set aside, refused, and asked of a cheaper model instead.

use greenroom_contract::{MicroUsd, port::llm::Error};
use kit::house::{Act, House, Price, World};
use proptest::prelude::*;
use serde_json::json;

use super::agents::{agent, secs};

fn budget(name: &str, budget: &str) -> String {
    agent(name, &format!("limits: {{max_attempts: 1, budget_usd: {{{budget}}}}}\nconcurrency: 100"))
}

async fn code(house: &House, question: &str) -> String {
    let done = house.ask("a", question).await;
    done.error.map_or_else(|| done.status.as_str().to_owned(), |failure| failure.code)
}

#[tokio::test(start_paused = true)]
async fn an_execution_stops_before_the_call_that_could_cost_too_much() {
    let world = World::default();
    world.model.costs("fake", Price { most: 400_000, cost: 300_000 });
    world.model.plays(|_| Act::Insist("look".to_owned(), json!({ "say": "more" })));
    let house = world.open(&[budget("a", "per_execution: 1.0")]).await;
    assert_eq!(code(&house, "spend").await, "budget_exhausted");
    // 0.3 and 0.3 are spent; the third call could cost 0.4, which fits; a fourth does not fit after 0.9.
    assert_eq!(world.model.load("a").calls, 3);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn earlier_attempts_count_and_an_answer_that_broke_off_is_paid() {
    let world = World::default();
    world.model.costs("fake", Price { most: 400_000, cost: 400_000 });
    world.model.plays(|_| {
        Act::Break("half an ans".to_owned(), Error::Interrupted { provider: "fake".into(), message: "cut".into() })
    });
    let yaml = agent("a", "limits: {max_attempts: 5, budget_usd: {per_execution: 1.0}}");
    let house = world.open(&[yaml]).await;
    let done = house.ask("a", "spend").await;
    assert_eq!(done.error.unwrap().code, "budget_exhausted");
    assert_eq!(world.model.load("a").calls, 2, "two answers were cut and cost 0.8");
    assert_eq!(done.cost, Some(MicroUsd(800_000)));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_is_the_agents_and_the_node_has_its_own() {
    let mut world = World::default();
    world.per_day = Some(MicroUsd(1_000_000));
    world.model.costs("fake", Price { most: 300_000, cost: 300_000 });
    let house = world.open(&[budget("a", "per_day: 0.7"), budget("b", "per_day: 5"), agent("c", "")]).await;
    assert_eq!(
        [code(&house, "1").await, code(&house, "2").await, code(&house, "3").await],
        ["succeeded", "succeeded", "budget_exhausted"]
    );
    assert_eq!(house.ask("b", "1").await.status.as_str(), "succeeded");
    // The node has spent 0.9 of its 1.0, whoever asks.
    for other in ["b", "c"] {
        let refused = house.ask(other, "2").await.error.unwrap();
        assert!(refused.message.contains("GREENROOM_BUDGET_USD_PER_DAY"), "{refused}");
    }
    house.pass(secs(86_400)).await;
    assert_eq!(code(&house, "tomorrow").await, "succeeded");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_cheaper_model_is_asked_when_the_money_does_not_reach() {
    let world = World::default();
    world.model.costs("fake", Price { most: 400_000, cost: 400_000 });
    world.model.costs("cheap", Price { most: 50_000, cost: 50_000 });
    let house = world.open(&[budget("a", "per_day: 0.5, degrade_to: {provider: openai, model: cheap}")]).await;
    let mut models = Vec::new();
    for n in 0..4 {
        let done = house.ask("a", &n.to_string()).await;
        let steps = world.steps(done.id).await;
        models.extend(steps.into_iter().map(|step| step.name));
    }
    assert_eq!(models, ["fake/fake", "fake/cheap", "fake/cheap"], "and nothing when not even that fits");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_price_that_is_not_known_cannot_be_kept_to() {
    let world = World::default();
    world.model.costs("fake", Price { most: -1, cost: 0 });
    let house = world.open(&[budget("a", "per_execution: 1.0")]).await;
    assert_eq!(code(&house, "spend").await, "price_unknown");
    assert_eq!(world.model.load("a").calls, 0);
    house.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// A hundred executions at once, each of several calls, some of which fail, break off or are slow: never more is spent
    /// than there is, and what there is is used.
    #[test]
    fn a_hundred_at_once_never_overspend(
        most in 1_i64..60_000,
        share in 1_i64..=100,
        per_day in 10_000_i64..2_000_000,
        calls in 1_u32..4,
        seed in 0_u64..1000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let spent = runtime.block_on(async {
            let world = World::default();
            world.model.costs("fake", Price { most, cost: (most * share / 100).max(1) });
            world.model.plays(move |asked| {
                let dice = asked.question.len() as u64 * 31 + u64::from(asked.before) * 17 + seed + asked.key.len() as u64;
                match (asked.before, dice % 7) {
                    (_, 0) => Act::fail(),
                    (_, 1) => Act::Break("half".into(), Error::Interrupted { provider: "fake".into(), message: "cut".into() }),
                    (before, _) if before + 1 < calls => Act::Insist("look".into(), json!({ "ms": dice % 50, "say": before })),
                    (_, more) => Act::After(std::time::Duration::from_millis(more * 10), "done".into()),
                }
            });
            #[expect(clippy::cast_precision_loss, reason = "a few dollars in millionths")]
            let dollars = per_day as f64 / 1e6;
            let yaml = agent("a", &format!("limits: {{max_attempts: 2, budget_usd: {{per_day: {dollars}}}}}\nconcurrency: 100\nsupervision: {{failures_before_restart: 100}}"));
            let house = world.open(&[yaml]).await;
            let mut given = Vec::new();
            for n in 0..100 {
                given.push(house.invoke("a", &format!("question {n}")).await);
            }
            let mut refused = 0;
            for id in given {
                refused += u32::from(house.ended(id).await.error.is_some_and(|failure| failure.code == "budget_exhausted"));
            }
            let spent = world.spent("a").await;
            house.close().await;
            (spent, refused)
        });
        prop_assert!(spent.0 <= MicroUsd(per_day), "spent {} of {per_day}", spent.0);
        // Nobody is refused when even all calls of all attempts at once would fit.
        if most * 100 * 2 * i64::from(calls) <= per_day {
            prop_assert_eq!(spent.1, 0, "refused although all fits");
        }
    }
}

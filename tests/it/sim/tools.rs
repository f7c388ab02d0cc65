//! What the loop of model and tools does by itself, on paused time: tools side by side where they may be, loops that are
//! stopped, and conversations that are longer than the model takes.

use greenroom_contract::port::llm::Error;
use kit::house::{Act, House, World};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::agents::{agent, secs};

fn wait(name: &str, ms: u64, say: &str) -> (String, Value) {
    (name.to_owned(), json!({ "ms": ms, "say": say }))
}

/// How long an execution with these tool calls takes, and what comes of it.
async fn run(house: &House, question: &str) -> (u64, String) {
    let start = Instant::now();
    let done = house.ask("a", question).await;
    let answer = done.output.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    (start.elapsed().as_secs(), answer)
}

#[tokio::test(start_paused = true)]
async fn calls_that_may_be_repeated_run_side_by_side_and_answer_in_order() {
    let world = World::default();
    world.model.plays(|asked| {
        Act::Tools(match asked.question.as_str() {
            "side by side" => {
                vec![wait("look", 10_000, "one"), wait("peek", 5_000, "two"), wait("look", 7_000, "three")]
            }
            "in turn" => vec![wait("look", 10_000, "one"), wait("act", 5_000, "two"), wait("look", 7_000, "three")],
            _ => (0..20).map(|n| wait("look", 10_000, &n.to_string())).collect(),
        })
    });
    let house = world.open(&[agent("a", "limits: {max_steps: 30}")]).await;
    assert_eq!(run(&house, "side by side").await, (10, "one two three".to_owned()));
    assert_eq!(
        run(&house, "in turn").await,
        (22, "one two three".to_owned()),
        "an effect that must be once runs alone"
    );
    let (seconds, all) = run(&house, "twenty").await;
    assert_eq!(seconds, 30, "eight at once");
    assert_eq!(all, (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_ran_side_by_side_and_had_ended_is_not_called_again_after_a_crash() {
    let world = World::default();
    world.model.plays(|_| Act::Tools(vec![wait("look", 1_000, "quick"), wait("peek", 60_000, "slow")]));
    let agents = [agent("a", "")];
    let house = world.open(&agents).await;
    let begun = house.invoke("a", "both").await;
    house.pass(secs(10)).await;
    // The slow one outlives the time to stop: its execution is given back, for the next run of the node.
    house.stop().await;
    let house = world.open(&agents).await;
    assert_eq!(house.ended(begun).await.output, Some("quick slow".into()));
    let steps = world.steps(begun).await;
    let replays: Vec<_> = steps.iter().map(|step| (step.name.as_str(), step.replays)).collect();
    assert_eq!(replays, [("fake/fake", 1), ("look", 1), ("peek", 0), ("fake/fake", 0)]);
    assert!(world.model.made_again().is_empty());
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_asks_the_same_for_ever_is_told_and_then_stopped() {
    let world = World::default();
    world.model.plays(|_| Act::Insist("look".to_owned(), json!({ "say": "nothing" })));
    let house = world.open(&[agent("a", "limits: {max_steps: 100, max_attempts: 1}")]).await;
    let done = house.ask("a", "anything?").await;
    assert_eq!((done.status.as_str(), done.error.as_ref().unwrap().code.as_str()), ("failed", "looping"));
    let steps = world.steps(done.id).await;
    let tools = steps.iter().filter(|step| step.name == "look").count();
    assert_eq!(tools, 3, "three calls were made, the others were refused");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_is_too_long_for_the_model_goes_on_without_its_beginning() {
    let world = World::default();
    world.model.plays(|asked| match asked.turns {
        0..=9 => Act::Say(format!("re: {} {}", asked.question, "word ".repeat(50))),
        _ => Act::Fail(Error::ContextTooLong { provider: "fake".to_owned(), message: "too many tokens".to_owned() }),
    });
    let house = world.open(&[agent("a", "").replace("autonomous", "continuous")]).await;
    for n in 0..20 {
        let done = house.ask("a", &format!("question {n}")).await;
        assert_eq!(done.status.as_str(), "succeeded", "{:?}", done.error);
        let asked = world.model.asked().pop().unwrap();
        assert!(asked.turns % 2 == 1 && asked.turns <= 9, "a conversation begins with a question: {}", asked.turns);
    }
    house.close().await;
}

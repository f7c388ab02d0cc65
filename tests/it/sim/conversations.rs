//! What a continuous agent keeps in view of a conversation that gets long, on paused time.

use greenroom_contract::port::llm::Error;
use kit::house::{Act, Asked, Gate, House, World};

fn talker(rest: &str) -> String {
    format!("name: a\nagent_type: sim\nexecution_mode: continuous\nllm_config: {{provider: auto}}\n{rest}\n")
}

const SUMS_UP: &str = "system_prompt: You help.\nlimits: {history: 10, max_attempts: 1}\n\
     conversation: {policy: summary, pinned: [The customer is Acme.]}";

fn is_summary(asked: &Asked) -> bool {
    asked.system.starts_with("You keep the notes")
}

/// A model whose summaries say how many there were, and what they were made of.
fn sums_up(asked: &Asked) -> Act {
    match is_summary(asked) {
        true => {
            let met: Vec<&str> = asked.question.split_whitespace().filter(|word| word.starts_with("fact")).collect();
            Act::Say(format!("{} and so on", met.join(" ")))
        }
        false => Act::Say("yes".into()),
    }
}

async fn tell(house: &House, from: usize, to: usize) {
    for number in from..to {
        let done = house.ask("a", &format!("fact{number}")).await;
        assert_eq!(done.status.as_str(), "succeeded", "{done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_falls_out_of_view_is_summed_up_now_and_then_and_its_cost_is_counted() {
    let world = World::default();
    world.model.plays(sums_up);
    let house = world.open(&[talker(SUMS_UP)]).await;
    tell(&house, 0, 20).await;
    house.close().await;
    // Another process has the same in view.
    let house = world.open(&[talker(SUMS_UP)]).await;
    tell(&house, 20, 40).await;

    let asked = world.model.asked();
    let (summaries, questions): (Vec<_>, Vec<_>) = asked.iter().partition(|asked| is_summary(asked));
    assert_eq!(questions.len(), 40);
    assert!((8..=14).contains(&summaries.len()), "{} summaries of 80 messages, 10 in view", summaries.len());
    assert!(
        summaries[0].question.contains("(none)") && summaries[0].question.contains("User: fact0\nAssistant: yes\n")
    );
    assert!(summaries[1].question.contains("# Notes so far\nfact0"), "{}", summaries[1].question);
    for asked in &questions {
        assert!(asked.turns <= 11, "{} turns were sent", asked.turns);
        assert!(asked.system.contains("# Always in mind\n- The customer is Acme."), "{}", asked.system);
    }
    // Whatever is not in view as it was said is in the summary: nothing between them is lost, nothing is there twice.
    let last = questions[39];
    let told: Vec<&str> = last.system.split_whitespace().filter(|word| word.starts_with("fact")).collect();
    let in_view = (last.turns - 1) / 2;
    let wanted: Vec<String> = (0..39 - in_view).map(|number| format!("fact{number}")).collect();
    assert_eq!(told, wanted, "{in_view} exchanges are in view");
    assert_eq!(world.spent("a").await.0, asked.len() as i64, "each call costs 1, a summary too");
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_that_was_paid_for_is_not_made_again_after_a_crash() {
    let world = World::default();
    let gate = Gate::default();
    let shut = gate.clone();
    world.model.plays(move |asked| match asked.question.as_str() {
        "fact5" => Act::Wait(shut.clone()),
        _ => sums_up(asked),
    });
    let agents = [talker(SUMS_UP)];
    let house = world.open(&agents).await;
    tell(&house, 0, 5).await;
    // The eleventh message makes one too many, so that this one sums up first.
    house.ask("a", "one more").await;
    let held = house.invoke("a", "fact5").await;
    house.until("the question after the summary", || world.model.times("fact5") == 1).await;
    let summaries = || world.model.asked().iter().filter(|asked| is_summary(asked)).count();
    assert_eq!(summaries(), 1);
    house.stop().await;
    gate.open();
    let house = world.open(&agents).await;
    assert_eq!(house.ended(held).await.output, Some("let through".into()));
    assert_eq!(summaries(), 1);
    assert!(world.model.made_again().is_empty());
    let steps = world.steps(held).await;
    assert_eq!(steps.iter().map(|step| step.replays).collect::<Vec<_>>(), [1, 0]);
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_will_not_sum_up_does_not_stop_the_conversation() {
    let world = World::default();
    world.model.plays(|asked| match is_summary(asked) {
        true => Act::Fail(Error::Refused { provider: "fake".into(), message: "no".into() }),
        false => Act::Say("yes".into()),
    });
    let house = world.open(&[talker(SUMS_UP)]).await;
    tell(&house, 0, 30).await;
    let asked = world.model.asked();
    assert!(asked.iter().any(is_summary) && asked.iter().all(|asked| asked.turns <= 11));
    assert!(!asked.last().unwrap().system.contains("# Earlier"));
    house.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_summary_only_the_newest_tokens_are_in_view() {
    let world = World::default();
    let house = world.open(&[talker("conversation: {keep_tokens: 200}")]).await;
    tell(&house, 0, 30).await;
    let most = world.model.asked().iter().map(|asked| asked.turns).max();
    assert!((7..=20).contains(&most.unwrap()), "{most:?} turns of some 14 tokens");
    house.close().await;
}

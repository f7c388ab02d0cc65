//! A journal that was written in part.

use std::sync::{Arc, Mutex};

use greenroom_contract::{
    Event, NodeId, TraceId,
    clarification::Question,
    execution::{Claimed, Effect, Step, StepKind},
    port::state::{Accepted, Arrival, State},
    status::{Purpose, StepStatus},
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    entry::{Ask, Outcome},
    journal::Journal,
};
use crate::{
    testing::Store,
    watchdog::{Pulse, Time},
};

fn ask(name: &str) -> Ask {
    Ask { kind: StepKind::Tool, name: name.to_owned(), request_hash: name.to_owned(), effect: Effect::None }
}

pub(super) fn before(seq: u32, name: &str, status: StepStatus) -> Step {
    let ended = status == StepStatus::Settled;
    Step {
        attempt: 1,
        seq,
        kind: StepKind::Tool,
        name: name.to_owned(),
        status,
        effect: Effect::None,
        request_hash: name.to_owned(),
        idempotency_key: String::new(),
        result: ended.then(|| json!("from the journal")),
        usage: None,
        cost: None,
        replays: 0,
        intended_at: Timestamp::UNIX_EPOCH,
        duration_ms: ended.then_some(1),
    }
}

/// A store whose intentions of one attempt are there already.
async fn claimed_with(steps: Vec<Step>) -> (Arc<Store>, Claimed) {
    let state = Arc::new(Store::default());
    let event = Event::new("agent.input.a", "test", TraceId::new(), json!({}));
    let (agent, claim) = ("a".parse().unwrap(), Some(NodeId::new("n1")));
    let accepted = state.accept(Arrival { agent, version: "v1".to_owned(), event, claim }).await;
    let Ok(Accepted::Claimed(mut claimed)) = accepted else { panic!("it is claimed at once") };
    claimed.journal = steps;
    (state, *claimed)
}

#[tokio::test]
async fn what_is_intended_already_is_not_intended_again_because_it_may_have_got_its_answer_meanwhile() {
    let (state, claimed) = claimed_with(vec![before(0, "a", StepStatus::Intended)]).await;
    let mut journal = Journal::new(Arc::clone(&state) as _, &claimed, Arc::new(Pulse::new(Time::runtime())));
    let question = Question::input("Well?");
    let asks = |_: String| std::future::ready(Outcome::asks(Purpose::Tool, question.clone()));
    journal.step(ask("a"), asks).await.unwrap_or_else(|_| panic!("refused"));
    assert_eq!(state.intended(), Vec::<u32>::new());
    assert!(journal.has_asked());
    journal.step(ask("b"), asks).await.unwrap_or_else(|_| panic!("refused"));
    assert_eq!(state.intended(), [1]);
}

#[tokio::test]
async fn an_intention_that_a_crash_kept_from_being_written_leaves_a_gap_and_the_others_in_their_places() {
    let steps = vec![before(0, "a", StepStatus::Intended), before(2, "c", StepStatus::Settled)];
    let (state, claimed) = claimed_with(steps).await;
    let mut journal = Journal::new(state, &claimed, Arc::new(Pulse::new(Time::runtime())));
    assert_eq!(journal.effect_before(0, StepKind::Tool, "a"), Some(Effect::None));
    assert_eq!(journal.effect_before(1, StepKind::Tool, "b"), None, "of it nothing is known");
    assert_eq!(journal.effect_before(2, StepKind::Tool, "c"), Some(Effect::None));
    let made = Mutex::new(Vec::new());
    let call = |place: usize, _| {
        made.lock().unwrap().push(place);
        std::future::ready(Outcome {
            status: StepStatus::Settled,
            result: json!("called"),
            usage: None,
            cost: None,
            asks: None,
        })
    };
    let outcomes = journal.steps(vec![ask("a"), ask("b"), ask("c")], call).await.unwrap_or_else(|_| panic!("refused"));
    let results: Vec<_> = outcomes.iter().map(|outcome| outcome.result.as_str().unwrap()).collect();
    assert_eq!(results, ["called", "called", "from the journal"]);
    assert_eq!(*made.lock().unwrap(), [0, 1]);
}

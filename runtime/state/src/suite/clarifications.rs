//! Questions to people.

use greenroom_contract::{
    ClarificationId, ReplyTo,
    clarification::{Card, Clarification, Escalation, MOST_CARDS, Question},
    event::{SlackReply, SlackUser},
    execution::{Claimed, Failure, Settled},
    page::PageRequest,
    port::state::{Asked, ClarificationFilter, Decided, Decision, Error, Escalated, Outgoing, Wait},
    status::{ClarificationStatus, ExecutionStatus, Purpose, StepStatus},
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call, event_of, fact, node, outcome, secs, succeeded},
};

/// Intends a step for each question and asks them all.
async fn ask(stage: &Stage, on: &Claimed, questions: &[(u32, Question)]) -> Vec<ClarificationId> {
    for (seq, _) in questions {
        stage.state.journal(on.fence, None, Some(call(on, *seq))).await.unwrap();
    }
    let asked =
        |(seq, question): &(u32, Question)| Asked { seq: *seq, purpose: Purpose::Tool, question: question.clone() };
    let questions = questions.iter().map(asked).collect::<Vec<_>>();
    let ids = questions.iter().map(|asked| ClarificationId::of(on.fence.execution, on.attempt, asked.seq)).collect();
    stage.state.wait(on.fence, Wait { questions, ..Wait::default() }).await.unwrap();
    ids
}

fn yes(by: &str) -> Decision {
    Decision {
        status: ClarificationStatus::Answered,
        answer: Some(json!("yes")),
        by: by.to_owned(),
        step: (StepStatus::Settled, json!({ "content": "yes" })),
        outbox: Vec::new(),
    }
}

async fn shown(stage: &Stage, id: ClarificationId) -> Clarification {
    stage.state.clarification(id).await.unwrap().unwrap()
}

fn counts(decided: Decided) -> bool {
    matches!(decided, Decided::Now(_))
}

/// Nobody holds it, nobody can claim it; the answer settles its step and it goes on in the same attempt.
pub async fn an_execution_waits_and_goes_on_with_the_answer(stage: Stage) {
    let (support, here, there) = (agent("support"), node("here"), node("there"));
    let running = stage.running(&support, &here).await;
    stage.step(&running, 0, None).await;
    let id = ask(&stage, &running, &[(1, Question::choice("Ship?", ["yes", "no"]))]).await[0];

    let waiting = stage.shown(running.fence.execution).await;
    assert_eq!((waiting.status, waiting.finished_at), (ExecutionStatus::Waiting, None));
    stage.clock.advance(secs(3600));
    assert!(stage.claim(&support, &there, 10).await.is_empty());
    let late = stage.state.journal(running.fence, None, Some(call(&running, 2))).await;
    assert!(matches!(late, Err(Error::Fenced)), "{late:?}");

    assert!(counts(stage.state.decide(id, yes("ann")).await.unwrap()));
    let asked = shown(&stage, id).await;
    assert_eq!((asked.status, asked.answered_by.as_deref()), (ClarificationStatus::Answered, Some("ann")));
    assert_eq!((asked.answer, asked.answered_at), (Some(json!("yes")), Some(stage.clock_now())));
    assert_eq!((asked.execution_id, asked.trace_id), (running.fence.execution, running.event.trace_id));
    assert_eq!(asked.question.options, ["yes", "no"]);
    let again = stage.claim_one(&support, &there).await;
    assert_eq!((again.attempt, again.crashes, again.journal.len()), (1, 0, 2));
    let step = &again.journal[1];
    assert_eq!((step.status, &step.result), (StepStatus::Settled, &Some(json!({ "content": "yes" }))));
    assert_eq!(step.duration_ms, Some(3_600_000));
    stage.finish(&again, succeeded()).await;
}

/// The answer says what became of it.
pub async fn a_step_whose_outcome_is_unknown_asks_too(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    stage.state.journal(running.fence, None, Some(call(&running, 0))).await.unwrap();
    let unknown = Settled { status: StepStatus::Unknown, usage: None, ..outcome(&running, 0, None) };
    stage.state.journal(running.fence, Some(unknown), None).await.unwrap();
    let asked = Asked { seq: 0, purpose: Purpose::OutcomeUnknown, question: Question::input("What became of it?") };
    stage.state.wait(running.fence, Wait { questions: vec![asked], ..Wait::default() }).await.unwrap();
    stage.state.decide(ClarificationId::of(running.fence.execution, 1, 0), yes("ann")).await.unwrap();
    assert_eq!(stage.claim_one(&support, &here).await.journal[0].status, StepStatus::Settled);
}

/// However many answer, and at once.
pub async fn the_first_answer_counts(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let id = ask(&stage, &running, &[(0, Question::input("Who?"))]).await[0];
    let tries = ["ann", "bob", "eve"].map(|who| stage.state.decide(id, yes(who)));
    let [a, b, c] = tries;
    let (a, b, c) = tokio::join!(a, b, c);
    let answers = [a.unwrap(), b.unwrap(), c.unwrap()];
    let winners: Vec<_> = answers.iter().filter(|answer| counts((*answer).clone())).collect();
    assert_eq!(winners.len(), 1);
    let by = shown(&stage, id).await.answered_by;
    for answer in &answers {
        let (Decided::Now(told) | Decided::Before(told)) = answer;
        assert_eq!(told.answered_by, by, "a later one is told who was first");
    }
    let missing = stage.state.decide(ClarificationId::new(), yes("ann")).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

/// Each is answered for itself, and the last answer lets the execution go on.
pub async fn it_goes_on_when_all_its_questions_are_answered(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let ids = ask(&stage, &running, &[(0, Question::input("A?")), (1, Question::input("B?"))]).await;
    stage.state.decide(ids[1], yes("ann")).await.unwrap();
    assert!(stage.claim(&support, &here, 10).await.is_empty());
    stage.state.decide(ids[0], yes("ann")).await.unwrap();
    assert_eq!(stage.claim_one(&support, &here).await.journal.len(), 2);
}

/// What is asked with a wait and told with an answer goes out.
pub async fn questions_and_answers_are_told(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    stage.state.journal(running.fence, None, Some(call(&running, 0))).await.unwrap();
    let told = |topic| vec![Outgoing::Event { event: fact(topic), mandatory: false }];
    let asked = Asked { seq: 0, purpose: Purpose::Budget, question: Question::input("More?") };
    stage
        .state
        .wait(running.fence, Wait { questions: vec![asked], outbox: told("asked"), ..Wait::default() })
        .await
        .unwrap();
    let id = ClarificationId::of(running.fence.execution, 1, 0);
    stage.state.decide(id, Decision { outbox: told("answered"), ..yes("ann") }).await.unwrap();
    stage.state.decide(id, Decision { outbox: told("again"), ..yes("bob") }).await.unwrap();
    let topics: Vec<_> = stage.due().await.iter().map(|row| event_of(row).event_type.clone()).collect();
    assert_eq!(topics, ["asked", "answered"]);
}

/// Its questions end with it.
pub async fn a_waiting_execution_can_be_cancelled(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let id = ask(&stage, &running, &[(0, Question::input("Who?"))]).await[0];
    let why = Failure::new("cancelled", "an operator cancelled it");
    assert!(stage.state.cancel(running.fence.execution, why).await.unwrap());
    assert_eq!(shown(&stage, id).await.status, ClarificationStatus::Cancelled);
    assert!(!counts(stage.state.decide(id, yes("ann")).await.unwrap()));
    assert_eq!(stage.shown(running.fence.execution).await.status, ExecutionStatus::Cancelled);
    assert!(stage.claim(&support, &here, 10).await.is_empty());
}

/// Where it is shown is remembered once for each message, and a cancelled one says so there.
pub async fn a_question_knows_where_it_is_shown(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    let running = stage.running(&support, &here).await;
    let to = ReplyTo::Slack(SlackReply {
        channel_id: Some("C1".to_owned()),
        user: Some(SlackUser { team_id: "T1".to_owned(), user_id: "U1".to_owned() }),
        ..SlackReply::default()
    });
    for seq in 0..2 {
        stage.state.journal(running.fence, None, Some(call(&running, seq))).await.unwrap();
    }
    let asked = |seq| Asked { seq, purpose: Purpose::Tool, question: Question::input("Who?") };
    let wait = Wait { questions: vec![asked(0), asked(1)], reply_to: Some(to.clone()), ..Wait::default() };
    stage.state.wait(running.fence, wait).await.unwrap();
    let [id, other] = [0, 1].map(|seq| ClarificationId::of(running.fence.execution, 1, seq));
    let fresh = shown(&stage, id).await;
    assert_eq!((fresh.reply_to, fresh.cards), (Some(to.clone()), vec![]));
    let card = |n: usize| Card { channel_id: "C1".to_owned(), ts: format!("17.{n}") };
    for n in [0, 1, 0, 1] {
        stage.state.note_card(id, card(n)).await.unwrap();
    }
    assert_eq!(shown(&stage, id).await.cards, [card(0), card(1)]);
    for n in 0..=MOST_CARDS {
        stage.state.note_card(id, card(n)).await.unwrap();
    }
    let kept = shown(&stage, id).await.cards;
    assert_eq!((kept.len(), kept.first(), kept.last()), (MOST_CARDS, Some(&card(1)), Some(&card(MOST_CARDS))));
    let missing = stage.state.note_card(ClarificationId::new(), card(0)).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");

    stage.state.decide(other, yes("ann")).await.unwrap();
    let why = Failure::new("cancelled", "an operator cancelled it");
    assert!(stage.state.cancel(running.fence.execution, why).await.unwrap());
    let due = stage.due().await;
    let [row] = due.as_slice() else { panic!("not one: {due:?}") };
    let Outgoing::Reply { to: told, card, .. } = &row.outgoing else { panic!("no reply: {row:?}") };
    assert_eq!((told, *card), (&to, Some(id)), "only the one that was open");
}

/// The oldest first, and none without a time.
pub async fn what_it_is_too_late_for_is_found(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let within = |secs| Question { expires_in_s: Some(secs), ..Question::input("Who?") };
    let ids = ask(&stage, &running, &[(0, within(60)), (1, Question::input("B?")), (2, within(30))]).await;
    let overdue =
        async || -> Vec<_> { stage.state.overdue(10).await.unwrap().into_iter().map(|asked| asked.id).collect() };
    stage.clock.advance(secs(29));
    assert!(overdue().await.is_empty());
    stage.clock.advance(secs(31));
    assert_eq!(overdue().await, [ids[2], ids[0]]);
    let expired = Decision {
        status: ClarificationStatus::Expired,
        answer: None,
        step: (StepStatus::Failed, json!({ "content": "nobody answered" })),
        ..yes("greenroom")
    };
    assert!(counts(stage.state.decide(ids[2], expired).await.unwrap()));
    assert_eq!(overdue().await, [ids[0]]);
    assert_eq!(shown(&stage, ids[2]).await.status, ClarificationStatus::Expired);
}

/// By agent, execution and state; newest first, in pages.
pub async fn questions_are_listed(stage: Stage) {
    let here = node("here");
    let mut all = Vec::new();
    for name in ["one", "two", "one"] {
        let running = stage.running(&agent(name), &here).await;
        all.push((running.fence.execution, ask(&stage, &running, &[(0, Question::input("Who?"))]).await[0]));
    }
    stage.state.decide(all[0].1, yes("ann")).await.unwrap();
    let list = async |filter: ClarificationFilter| -> Vec<_> {
        let page = stage.state.clarifications(filter, PageRequest::default()).await.unwrap();
        page.items.into_iter().map(|asked| asked.id).collect()
    };
    let any = ClarificationFilter::default;
    assert_eq!(list(any()).await, [all[2].1, all[1].1, all[0].1]);
    assert_eq!(list(ClarificationFilter { agent: Some(agent("one")), ..any() }).await, [all[2].1, all[0].1]);
    let open = ClarificationFilter { status: Some(ClarificationStatus::Open), agent: Some(agent("one")), ..any() };
    assert_eq!(list(open).await, [all[2].1]);
    assert_eq!(list(ClarificationFilter { execution: Some(all[1].0), ..any() }).await, [all[1].1]);

    let page = async |cursor| {
        let page = PageRequest { limit: 2, cursor };
        stage.state.clarifications(any(), page).await.unwrap()
    };
    let first = page(None).await;
    assert_eq!(first.items.len(), 2);
    let second = page(first.next_cursor).await;
    assert_eq!((second.items[0].id, second.next_cursor), (all[0].1, None));
}

/// Neither of a step that was not intended, nor of one that has its outcome, nor by a zombie.
pub async fn only_a_step_under_way_asks(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let wait = |questions: &[u32]| {
        let asked = |seq: &u32| Asked { seq: *seq, purpose: Purpose::Tool, question: Question::input("Who?") };
        Wait { questions: questions.iter().map(asked).collect(), ..Wait::default() }
    };
    let refused = stage.state.wait(running.fence, wait(&[0])).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })), "{refused:?}");
    stage.step(&running, 0, None).await;
    assert!(stage.state.wait(running.fence, wait(&[0])).await.is_err());
    assert!(matches!(stage.state.wait(running.fence, wait(&[])).await, Err(Error::Conflict { .. })));
    stage.state.journal(running.fence, None, Some(call(&running, 1))).await.unwrap();
    let zombie = greenroom_contract::execution::Fence { epoch: 9, ..running.fence };
    assert!(matches!(stage.state.wait(zombie, wait(&[1])).await, Err(Error::Fenced)));
    assert_eq!(stage.shown(running.fence.execution).await.status, ExecutionStatus::Running, "nothing was written");
    stage.state.journal(running.fence, Some(outcome(&running, 1, None)), None).await.unwrap();
}

/// What comes after it waits with it.
pub async fn a_question_keeps_the_order(stage: Stage) {
    let (support, here) = (agent("support"), node("here"));
    for n in 0..2 {
        stage.arrive(&support, super::stage::event_for(&support, json!(n))).await;
    }
    let first = stage.claim_in_order(&support, &here).await.unwrap();
    let id = ask(&stage, &first, &[(0, Question::input("Who?"))]).await[0];
    assert!(stage.claim_in_order(&support, &here).await.is_none());
    stage.state.decide(id, yes("ann")).await.unwrap();
    let again = stage.claim_in_order(&support, &here).await.unwrap();
    assert_eq!(again.fence.execution, first.fence.execution);
}

/// Nothing of it is left.
pub async fn questions_are_deleted_with_their_execution(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let id = ask(&stage, &running, &[(0, Question::input("Who?"))]).await[0];
    stage.clock.advance(secs(100 * 24 * 3600));
    let sweep = async || stage.state.sweep(stage.clock_now(), 10).await.unwrap().executions;
    assert_eq!(sweep().await, 0, "it has not ended");
    stage.state.decide(id, yes("ann")).await.unwrap();
    let again = stage.claim_one(&agent("support"), &node("here")).await;
    stage.finish(&again, succeeded()).await;
    let mut swept = 0;
    for _ in 0..2 {
        stage.clock.advance(secs(61));
        swept += sweep().await;
    }
    assert_eq!((swept, stage.state.clarification(id).await.unwrap()), (1, None));
}

/// Others may answer then; whoever comes too late with that changes nothing.
pub async fn a_question_that_nobody_answered_goes_on_to_others(stage: Stage) {
    let running = stage.running(&agent("support"), &node("here")).await;
    let escalation = Some(Escalation { to: vec!["boss".into()], within_s: 60 });
    let question = Question {
        approvers: vec!["ann".into()],
        expires_in_s: Some(10),
        escalation,
        ..Question::choice("Ship?", ["yes", "no"])
    };
    let id = ask(&stage, &running, &[(0, question)]).await[0];
    stage.clock.advance(secs(11));
    let late = stage.state.overdue(10).await.unwrap().remove(0);
    let next = || Escalated {
        expired_at: late.expires_at.unwrap(),
        question: late.question.escalated().unwrap(),
        reply_to: late.reply_to.clone(),
        outbox: Vec::new(),
    };
    let [one, other] = [next(), next()].map(|next| stage.state.escalate(id, next));
    let (one, other) = tokio::join!(one, other);
    assert_ne!(one.unwrap(), other.unwrap(), "one of two counts");
    let shown = shown(&stage, id).await;
    assert_eq!((shown.status, shown.question.escalated), (ClarificationStatus::Open, true));
    assert_eq!(shown.question.approvers, ["ann", "boss"]);
    assert_eq!(shown.expires_at.unwrap().duration_since(stage.clock_now()).as_secs(), 60);
    assert!(stage.state.overdue(10).await.unwrap().is_empty());
    stage.clock.advance(secs(61));
    assert_eq!(stage.state.overdue(10).await.unwrap().len(), 1);
    assert!(counts(stage.state.decide(id, yes("boss")).await.unwrap()));
    let over = Escalated { expired_at: shown.expires_at.unwrap(), ..next() };
    assert!(!stage.state.escalate(id, over).await.unwrap(), "it has its end");
    assert_eq!(stage.shown(running.fence.execution).await.status, ExecutionStatus::Queued);
}

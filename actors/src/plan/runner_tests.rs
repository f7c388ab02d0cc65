//! The runner over random plans, valid and not, and random worlds.

use greenroom_contract::{
    AgentId, ExecutionId, MicroUsd,
    call::CallResult,
    execution::Failure,
    plan::{Plan, Values, check},
    status::{ExecutionStatus, PlanStepStatus},
};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::runner::{Action, Bounds, Choice, Event, Runner, Verdict};

/// More events than any of these plans can have.
const FAR: usize = 2_000;

fn plan(steps: Value) -> Plan {
    serde_json::from_value(json!({ "inputs": [{ "name": "$topic" }], "steps": steps })).unwrap()
}

fn runner(plan: Plan, bounds: Bounds) -> Runner {
    let inputs = Values::from([("topic".parse().unwrap(), json!("actors"))]);
    Runner::new(plan, inputs, &[], bounds, Timestamp::UNIX_EPOCH)
}

fn wide() -> Bounds {
    Bounds { side_by_side: 8, ..Bounds::default() }
}

fn said(output: Value) -> CallResult {
    CallResult::answered(ExecutionId::new(), output, MicroUsd(10))
}

fn broke() -> CallResult {
    CallResult::failed(ExecutionId::new(), ExecutionStatus::Dead, Failure::new("x", "it broke"))
}

fn begin(runner: &mut Runner) -> Vec<usize> {
    let actions = runner.advance();
    let steps = actions.into_iter().filter_map(|action| match action {
        Action::Start { step } => Some(step),
        _ => None,
    });
    let steps: Vec<usize> = steps.collect();
    steps.iter().for_each(|step| runner.started(*step, ExecutionId::new()));
    steps
}

#[test]
fn branches_run_side_by_side_and_meet_again() {
    let mut runner = runner(
        plan(json!([
            { "task": "t", "agent": "ada", "output": "$a" },
            { "task": "t", "agent": "ada", "output": "$b", "depends_on": ["$a"] },
            { "task": "t", "agent": "bob", "output": "$c", "depends_on": ["$a"], "inputs": ["$topic", "$a"] },
            { "task": "t", "agent": "bob", "output": "$d", "inputs": ["$b", "$c"] },
        ])),
        wide(),
    );
    assert_eq!(begin(&mut runner), [0]);
    runner.apply(Event::Ended { step: 0, result: said(json!("facts")) });
    assert_eq!(begin(&mut runner), [1, 2]);
    let given: Vec<_> = runner.given(2).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(given, ["$a=\"facts\"", "$topic=\"actors\""], "what it names, and nothing else");
    runner.apply(Event::Ended { step: 2, result: said(json!(2)) });
    assert_eq!(begin(&mut runner), [] as [usize; 0]);
    runner.apply(Event::Ended { step: 1, result: said(json!(1)) });
    assert_eq!(begin(&mut runner), [3]);
    runner.apply(Event::Ended { step: 3, result: said(json!("end")) });
    assert_eq!(runner.end(), Some(Ok(())));
    assert_eq!((runner.last_output(), runner.spent()), (Some(&json!("end")), Some(MicroUsd(40))));
}

#[test]
fn conditions_choose_a_branch_and_a_model_judges_sentences() {
    let mut runner = runner(
        plan(json!([
            { "task": "t", "agent": "ada", "output": "$score" },
            { "task": "t", "agent": "ada", "output": "$text", "condition": "$score >= 7" },
            { "task": "t", "agent": "bob", "output": "$text", "condition": "$score < 7" },
            { "task": "t", "agent": "bob", "output": "$end", "condition": "$text is worth printing", "inputs": ["$text"] },
            { "task": "t", "agent": "bob", "output": "$never" },
        ])),
        wide(),
    );
    begin(&mut runner);
    runner.apply(Event::Ended { step: 0, result: said(json!("6")) });
    assert_eq!(begin(&mut runner), [2]);
    assert_eq!(runner.steps()[1].status, PlanStepStatus::Skipped);
    runner.apply(Event::Ended { step: 2, result: said(json!("short")) });
    let judge = Action::Judge { step: 3, sentence: "$text is worth printing".to_owned() };
    assert_eq!(runner.advance(), [judge]);
    runner.apply(Event::Judged { step: 3, verdict: Verdict::Complete, reason: "it is short".into() });
    assert_eq!((runner.advance(), runner.end()), (vec![], Some(Ok(()))));
    assert_eq!(runner.last_output(), Some(&json!("short")));
}

#[test]
fn a_failure_is_treated_as_its_step_says() {
    for (policy, tries, end) in [("fail", 1, false), ("retry", 3, false), ("skip", 1, true)] {
        let step = json!({ "task": "t", "agent": "ada", "output": "$a", "on_failure": policy, "retries": 2 });
        let mut runner = runner(plan(json!([step, { "task": "t", "agent": "ada", "output": "$b" }])), wide());
        let mut begun = 0;
        while begin(&mut runner) == [0] {
            begun += 1;
            runner.apply(Event::Ended { step: 0, result: broke() });
        }
        assert_eq!(begun, tries, "{policy}");
        runner.apply(Event::Ended { step: 1, result: said(json!(1)) });
        assert_eq!(runner.end().unwrap().is_ok(), end, "{policy}");
    }
}

#[test]
fn people_say_what_becomes_of_a_failed_step() {
    let step = json!({ "task": "t", "agent": "ada", "output": "$a", "on_failure": "ask" });
    let mut runner = runner(plan(json!([step])), wide());
    begin(&mut runner);
    runner.apply(Event::Ended { step: 0, result: broke() });
    assert_eq!(runner.advance(), [Action::Ask { step: 0 }]);
    assert_eq!(runner.advance(), [], "once");
    runner.apply(Event::Decided { step: 0, choice: Choice::Retry });
    assert_eq!(begin(&mut runner), [0]);
    runner.apply(Event::Ended { step: 0, result: broke() });
    assert_eq!(runner.advance(), [Action::Ask { step: 0 }]);
    runner.apply(Event::Decided { step: 0, choice: Choice::Fail });
    assert_eq!(runner.end().unwrap().unwrap_err().message, "step 1 ($a, by ada) failed: it broke");
}

#[test]
fn money_time_and_form_are_kept_to() {
    let two = || {
        plan(json!([{ "task": "t", "agent": "ada", "output": "$a" }, { "task": "t", "agent": "ada", "output": "$b" }]))
    };
    let mut poor = runner(two(), Bounds { max_cost: Some(MicroUsd(10)), ..wide() });
    begin(&mut poor);
    poor.apply(Event::Ended { step: 0, result: said(json!(1)) });
    assert_eq!((begin(&mut poor).len(), &*poor.end().unwrap().unwrap_err().code), (0, "budget_exhausted"));

    let mut late = runner(two(), Bounds { deadline: Some(Timestamp::from_second(60).unwrap()), ..wide() });
    begin(&mut late);
    late.apply(Event::Ended { step: 0, result: said(json!(1)) });
    late.observe(Timestamp::from_second(60).unwrap());
    assert_eq!((begin(&mut late).len(), &*late.end().unwrap().unwrap_err().code), (0, "timed_out"));

    let form = json!({ "task": "t", "agent": "ada", "output": "$a", "structured_output_schema": { "type": "object" },
                       "max_cost_usd": 0.00003 });
    for (output, cost, tries, ends) in
        [("```json\n{\"a\": 1}\n```", 30, 1, "ok"), ("1, 2", 10, 3, "bad_output"), ("[1]", 16, 2, "budget_exhausted")]
    {
        let mut runner = runner(plan(json!([form])), wide());
        let mut asked = 0;
        while begin(&mut runner) == [0] {
            asked += 1;
            let result = CallResult::answered(ExecutionId::new(), json!(output), MicroUsd(cost));
            runner.apply(Event::Ended { step: 0, result });
        }
        assert_eq!(runner.end().unwrap().map_or_else(|failure| failure.code.as_str(), |()| "ok"), ends);
        assert_eq!(asked, tries, "{output}");
    }
}

#[test]
fn an_answer_without_its_form_is_given_back_and_the_next_one_counts() {
    let schema = json!({ "type": "object", "required": ["n"] });
    let step = json!({ "task": "t", "agent": "ada", "output": "$a", "structured_output_schema": schema });
    let mut runner = runner(plan(json!([step])), wide());
    begin(&mut runner);
    runner.apply(Event::Ended { step: 0, result: said(json!("three")) });
    let before = runner.misformed(0).unwrap();
    assert_eq!((before.times, before.answer.as_str()), (1, "three"));
    assert_eq!(begin(&mut runner), [0]);
    runner.apply(Event::Ended { step: 0, result: said(json!({ "n": 3 })) });
    assert_eq!((runner.end(), runner.misformed(0)), (Some(Ok(())), None));
    assert_eq!((runner.last_output(), runner.steps()[0].tries), (Some(&json!({ "n": 3 })), 2));
}

#[test]
fn what_the_run_s_own_model_calls_cost_is_in_its_budget() {
    let two = json!([{ "task": "t", "agent": "ada", "output": "$a" }, { "task": "t", "agent": "ada", "output": "$b" }]);
    let mut runner = runner(plan(two), Bounds { max_cost: Some(MicroUsd(20)), ..wide() });
    runner.own_cost(MicroUsd(5));
    begin(&mut runner);
    runner.apply(Event::Ended { step: 0, result: said(json!(1)) });
    runner.own_cost(MicroUsd(10));
    assert_eq!((begin(&mut runner).len(), runner.spent()), (0, Some(MicroUsd(20))));
    assert_eq!(runner.end().unwrap().unwrap_err().code, "budget_exhausted");
}

/// A random plan; about half of them are valid.
fn any_plan() -> impl Strategy<Value = Plan> {
    let name = || prop::sample::select(vec!["$a", "$b", "$c", "$d", "$e", "$topic"]);
    let names = || prop::collection::vec(name(), 0..3);
    let condition = prop::option::weighted(
        0.4,
        prop::sample::select(vec![
            "$a == 1",
            "exists($b) or $c",
            "not $a",
            "$topic contains 'act'",
            "$a is fine",
            "$d == ",
        ]),
    );
    let policy = prop::sample::select(vec!["fail", "retry", "skip", "ask"]);
    let step = (name(), names(), prop::option::of(names()), condition, policy, prop::bool::weighted(0.97));
    prop::collection::vec(step, 0..7).prop_map(|steps| {
        let steps =
            steps.into_iter().enumerate().map(|(place, (output, inputs, depends_on, condition, policy, known))| {
                // Most outputs in the order of the letters, so that enough plans are valid.
                let in_order = ["$a", "$b", "$c", "$d", "$e", "$f", "$g"][place];
                let output = if known { in_order } else { output };
                let earlier = |name: &&str| *name < in_order || *name == "$topic" || !known;
                let inputs: Vec<_> = inputs.into_iter().filter(earlier).collect();
                let depends_on = depends_on.map(|names| names.into_iter().filter(earlier).collect::<Vec<_>>());
                json!({ "task": "t", "agent": if known { "ada" } else { "eve" }, "output": output, "inputs": inputs,
                    "depends_on": depends_on, "condition": condition, "on_failure": policy, "retries": place % 3 })
            });
        plan(Value::Array(steps.collect()))
    })
}

/// Which open thing ends next, and how.
type Dice = Vec<(usize, u8)>;

/// Plays a run to its end; returns everything that was done, in order.
fn play(plan: &Plan, is_valid: bool, side_by_side: usize, dice: &Dice) -> Vec<String> {
    let mut runner = runner(plan.clone(), Bounds { side_by_side, ..Bounds::default() });
    let (mut open, mut log): (Vec<Action>, Vec<String>) = (Vec::new(), Vec::new());
    let (mut dice, mut retried) = (dice.iter().cycle(), 0);
    for _ in 0..FAR {
        for action in runner.advance() {
            log.push(format!("{action:?}"));
            if let Action::Start { step } = &action {
                let needs = plan.needs(*step);
                assert!(needs.iter().all(|need| runner.steps()[*need].status.is_final()), "{step} is before its turn");
                assert_ne!(runner.steps()[*step].status, PlanStepStatus::Running, "{step} is at work twice");
                let named = &plan.steps[*step].inputs;
                assert!(runner.given(*step).keys().all(|name| named.iter().any(|input| input.name == *name)));
                for input in named.iter().filter(|_| is_valid) {
                    let has_run = |(place, other): (usize, &greenroom_contract::plan::PlanStep)| {
                        other.output != input.name || place >= *step || runner.steps()[place].status.is_final()
                    };
                    assert!(plan.steps.iter().enumerate().all(has_run), "{step} began before {}", input.name);
                }
                runner.started(*step, ExecutionId::from_bytes([0; 16]));
            }
            open.push(action);
        }
        let running = runner.steps().iter().filter(|step| step.status == PlanStepStatus::Running).count();
        assert!(running <= side_by_side.max(1));
        if let Some(end) = runner.end() {
            log.push(format!("{end:?}"));
            assert!(runner.advance().is_empty(), "nothing begins after the end");
            return log;
        }
        assert!(!open.is_empty(), "nothing is open, and the run has not ended: {:?}", runner.steps());
        let (which, how) = dice.next().copied().unwrap_or_default();
        let event = match open.remove(which % open.len()) {
            Action::Start { step } if how < 200 => Event::Ended { step, result: said(json!(how % 2)) },
            Action::Start { step } => Event::Ended { step, result: broke() },
            Action::Judge { step, .. } => {
                let verdict = [Verdict::Continue, Verdict::Skip, Verdict::Complete][usize::from(how) % 3];
                Event::Judged { step, verdict, reason: String::new() }
            }
            Action::Ask { step } => {
                retried += 1;
                // Who wants it tried again for ever has a run that goes on for ever.
                let how = if retried < 5 { usize::from(how) } else { 2 };
                Event::Decided { step, choice: [Choice::Retry, Choice::Skip, Choice::Fail][how % 3] }
            }
        };
        runner.apply(event);
    }
    panic!("the run does not end: {:?}", runner.steps());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_run_of_every_plan_ends_and_no_step_begins_before_its_turn(
        plan in any_plan(),
        side_by_side in 0_usize..4,
        dice in prop::collection::vec((0_usize..8, any::<u8>()), 7..40),
    ) {
        let agents: [AgentId; 1] = ["ada".parse().unwrap()];
        let is_valid = check(&plan, &agents).is_empty();
        let once = play(&plan, is_valid, side_by_side, &dice);
        prop_assert_eq!(once, play(&plan, is_valid, side_by_side, &dice), "the same events lead to the same actions");
    }
}

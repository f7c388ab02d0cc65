//! The behaviour of a coordinator.

use greenroom_config::spec::{Approve, Collaboration};
use greenroom_contract::{
    BoxFuture, MicroUsd,
    call::AgentCall,
    plan::{Name, Plan, Task, Values, check, references},
    status::Purpose,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    asking::ask_model,
    digest::{Digests, Reader},
    planner::{self, Candidate, Planned, TRIES},
    prompts, readiness, result,
    rounds::{Open, Rounds},
    runner::{Action, Bounds, Event, Runner, Verdict},
    shown::Shown,
    task::task_of,
};
use crate::execution::{Behaviour, Context, Trouble};

/// The behaviour: a plan is carried out by others.
pub(crate) struct Collaborate;

impl Behaviour for Collaborate {
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(collaborate(context))
    }
}

/// What a coordinator sees at its beginning.
#[derive(Serialize, Deserialize)]
struct Begun {
    at: Timestamp,
    cast: Vec<Candidate>,
}

async fn collaborate(context: &mut Context) -> Result<Value, Trouble> {
    let Some(settings) = context.spec().collaboration.clone() else {
        return Err(Trouble::lasting("no_collaboration", "the agent's file has no `collaboration`"));
    };
    let task = task_of(context.event())?;
    let mut shown = Shown::open(context, &task).await?;
    let begun = begin(context, &settings, &task).await?;
    shown.deadline(deadline(&settings, &task, begun.at));
    let bounds = bounds(&settings, &task, shown.deadline_at());
    context.may_cost(bounds.max_cost);

    let plan = match task.plan.clone().or_else(|| settings.plan.clone()) {
        Some(plan) => checked(plan, &settings)?,
        None => {
            shown.planning(context).await?;
            make_plan(context, &settings, &task, &begun).await?
        }
    };
    let inputs = inputs(&plan, &task)?;
    shown.plan(&plan, &inputs);
    let mut now = begun.at;
    if task.approve || settings.approve == Approve::Always {
        now = approve(context, &task, &plan, &mut shown, now).await?;
    }

    let mut runner = Runner::new(plan, inputs, &task.kept, bounds, now);
    let mut digests = Digests::new(settings.whole_up_to);
    runner.own_cost(context.own_cost().await?);
    shown.show(context, &runner, &digests);
    let left = seconds_until(shown.deadline_at(), now);
    readiness::check(context, runner.plan(), runner.steps(), settings.when_not_ready, left).await?;
    context.has_begun();
    let ran = run(context, &mut runner, &mut shown, &mut digests).await;
    context.others_cost(runner.steps_cost());
    shown.show(context, &runner, &digests);
    ran?;
    let output = result::of(context, &settings, &task, &mut runner, &mut digests).await;
    shown.show(context, &runner, &digests);
    output
}

/// The first note: what the time is, and who can be given steps.
async fn begin(context: &mut Context, settings: &Collaboration, task: &Task) -> Result<Begun, Trouble> {
    let seen = if context.is_noted() {
        None
    } else {
        let mut cast = Vec::new();
        if task.plan.is_none() && settings.plan.is_none() {
            for agent in &settings.agents {
                cast.push(Candidate::of(agent, context.definition_of(agent).await?.as_ref()));
            }
        }
        serde_json::to_value(Begun { at: context.now(), cast }).ok()
    };
    let noted = context.note("begin", seen).await?.unwrap_or_default();
    serde_json::from_value(noted)
        .map_err(|why| Trouble::lasting("journal_unreadable", format!("a journaled note cannot be read: {why}")))
}

fn checked(plan: Plan, settings: &Collaboration) -> Result<Plan, Trouble> {
    let faults: Vec<String> = check(&plan, &settings.agents).iter().map(ToString::to_string).collect();
    if faults.is_empty() { Ok(plan) } else { Err(Trouble::lasting("plan_invalid", faults.join("; "))) }
}

/// Has the model make a plan, and tells it what is wrong with one, until there is one without faults.
async fn make_plan(
    context: &mut Context,
    settings: &Collaboration,
    task: &Task,
    begun: &Begun,
) -> Result<Plan, Trouble> {
    let mut errors = Vec::new();
    for _ in 0..TRIES {
        let request = planner::request(context.spec(), settings, task, &begun.cast, begun.at, &errors);
        let planned = match context.ask(request).await {
            Ok(response) => planner::read(&response.text(), task, &settings.agents),
            Err(Trouble::Failed { failure, .. }) if failure.code == "answer_misformed" => {
                Planned::Faulty(vec![failure.message])
            }
            Err(trouble) => return Err(trouble),
        };
        match planned {
            Planned::Plan(plan) => return Ok(plan),
            Planned::Refused(why) => {
                return Err(Trouble::lasting("plan_refused", format!("the planner sees no way: {why}")));
            }
            Planned::Faulty(faults) => errors = faults,
        }
    }
    let why = format!("{TRIES} plans had faults; the last one: {}", errors.join("; "));
    Err(Trouble::lasting("plan_refused", why))
}

/// The values of the plan's inputs.
fn inputs(plan: &Plan, task: &Task) -> Result<Values, Trouble> {
    let mut values = Values::from([(Name::task(), Value::from(task.task.as_str()))]);
    for input in &plan.inputs {
        match task.inputs.get(&input.name).or(input.value.as_ref()) {
            Some(value) => drop(values.insert(input.name.clone(), value.clone())),
            None => {
                let why = format!("the plan's input {} has no value; give it with the task", input.name);
                return Err(Trouble::lasting("input_missing", why));
            }
        }
    }
    match task.inputs.keys().find(|name| !values.contains_key(*name)) {
        Some(strange) => Err(Trouble::lasting("input_unknown", format!("the plan has no input {strange}"))),
        None => Ok(values),
    }
}

/// Waits until people have allowed the plan, and returns when that was seen.
async fn approve(
    context: &mut Context,
    task: &Task,
    plan: &Plan,
    shown: &mut Shown,
    now: Timestamp,
) -> Result<Timestamp, Trouble> {
    let permissions = readiness::permissions(context, plan);
    let left = seconds_until(shown.deadline_at(), now);
    let question = prompts::of_approval(task, plan, &permissions, left);
    let about = json!({ "plan": plan.digest() });
    let Some(answer) = context.ask_people(Purpose::Approval, "plan", &about, question).await? else {
        shown.awaiting_approval(context);
        return Err(Trouble::Waiting);
    };
    if answer["granted"] != json!(true) {
        shown.awaiting_approval(context);
        return Err(Trouble::lasting(super::REJECTED, "the plan was shown to people, and nobody allowed it"));
    }
    observe(context, "approved", None).await
}

/// Notes the time.
async fn observe(context: &mut Context, name: &str, at: Option<Timestamp>) -> Result<Timestamp, Trouble> {
    let seen = json!(at.unwrap_or_else(|| context.now()));
    let noted = context.note(name, Some(seen)).await?.unwrap_or_default();
    serde_json::from_value(noted)
        .map_err(|why| Trouble::lasting("journal_unreadable", format!("a journaled time cannot be read: {why}")))
}

fn deadline(settings: &Collaboration, task: &Task, begun: Timestamp) -> Timestamp {
    let within = task.deadline.map_or(settings.deadline.0, |wanted| wanted.0.min(settings.deadline.0));
    begun.checked_add(SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

fn bounds(settings: &Collaboration, task: &Task, deadline: Timestamp) -> Bounds {
    let costs = [settings.max_cost_usd, task.max_cost_usd].into_iter().flatten().map(MicroUsd::from_usd);
    Bounds { side_by_side: settings.parallel as usize, max_cost: costs.min(), deadline: Some(deadline) }
}

/// At least a second, so that what is late ends by its deadline and not before it was asked.
fn seconds_until(deadline: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(deadline.duration_since(now).as_secs()).unwrap_or(0).max(1)
}

/// Carries the plan out: whenever something has ended, what can begin begins, until nothing is left.
async fn run(
    context: &mut Context,
    runner: &mut Runner,
    shown: &mut Shown,
    digests: &mut Digests,
) -> Result<(), Trouble> {
    let mut rounds = Rounds::default();
    loop {
        let mut judged = false;
        let mut starts = Vec::new();
        for action in runner.advance() {
            match action {
                Action::Start { step } => starts.push(step),
                Action::Judge { step, sentence } => {
                    let (verdict, reason) = judge(context, runner, digests, step, &sentence).await?;
                    runner.apply(Event::Judged { step, verdict, reason });
                    judged = true;
                }
                Action::Ask { step } => {
                    let (planned, run) = (&runner.plan().steps[step], &runner.steps()[step]);
                    let left = seconds_until(shown.deadline_at(), runner.now());
                    let question = prompts::of_failure(step, planned, run.error.as_ref(), left);
                    let about = json!({ "step": step, "tries": run.tries });
                    let answer = context.ask_people(Purpose::Tool, "step", &about, question).await?;
                    rounds.open(step, Open::Question(answer));
                }
            }
        }
        start(context, runner, shown, digests, &mut rounds, starts).await?;
        match runner.end() {
            Some(Ok(())) => return Ok(()),
            Some(Err(failure)) => {
                return Err(Trouble::Failed { failure: failure.clone(), lasting: true });
            }
            None if judged => continue,
            None => {}
        }
        let Some((now, events)) = rounds.next(context).await? else {
            shown.show(context, runner, digests);
            return Err(Trouble::Waiting);
        };
        runner.observe(now);
        events.into_iter().for_each(|event| runner.apply(event));
    }
}

/// Asks the agents of steps that begin.
async fn start(
    context: &mut Context,
    runner: &mut Runner,
    shown: &Shown,
    digests: &mut Digests,
    rounds: &mut Rounds,
    starts: Vec<usize>,
) -> Result<(), Trouble> {
    if starts.is_empty() {
        return Ok(());
    }
    let left = std::time::Duration::from_secs(seconds_until(shown.deadline_at(), runner.now()));
    let mut calls = Vec::with_capacity(starts.len());
    for step in &starts {
        let given = digests.tell(context, runner, *step, runner.given(*step), Reader::Agent).await?;
        let planned = &runner.plan().steps[*step];
        calls.push(AgentCall {
            agent: planned.agent.clone(),
            input: Value::from(prompts::of_step(planned, &given.values, runner.misformed(*step))),
            outputs: given.whole,
            within: planned.deadline.map_or(left, |deadline| deadline.0.min(left)),
        });
    }
    for (step, called) in starts.into_iter().zip(context.call_agents(calls).await?) {
        runner.started(step, called.execution);
        rounds.open(step, Open::Call(called.result));
    }
    Ok(())
}

/// Has a model judge a condition. What cannot be read as a judgement ends the run: to guess is worse.
async fn judge(
    context: &mut Context,
    runner: &mut Runner,
    digests: &mut Digests,
    step: usize,
    sentence: &str,
) -> Result<(Verdict, String), Trouble> {
    let names: Vec<_> = references(sentence).into_iter().map(|reference| reference.name).collect();
    // A sentence that names nothing is about all that is known.
    let known = if names.is_empty() { runner.values() } else { runner.values_before(step, &names) };
    let known = digests.tell(context, runner, step, known, Reader::Model).await?.values;
    let request = prompts::of_condition(context.spec(), sentence, &known);
    let answer = ask_model(context, runner, request).await?;
    prompts::read_verdict(&answer).ok_or_else(|| {
        let what = format!("the condition of step {} was judged with something that is no judgement", step + 1);
        Trouble::lasting("bad_judgement", what)
    })
}

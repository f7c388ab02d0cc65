//! One attempt from its claim to its end.

use std::{sync::Arc, time::Duration};

use greenroom_config::AgentSpec;
use greenroom_contract::{
    BoxFuture, ClarificationId, Event, EventId, MicroUsd, ReplyTo,
    call::CallResult,
    execution::{Claimed, Failure, Fence},
    port::state::{Conclusion, Error, Finish, OutboxId, Outgoing, Wait},
    status::ExecutionStatus,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    clarify,
    collaborating::Shown,
    context::Context,
    converse::Converse,
    journal::Journal,
    light::Light,
    mind::Kept,
    persist::persist_under,
    progress::{Progress, Voice},
    step::{TIMED_OUT, after_failure, is_poison},
    trouble::Trouble,
};
use crate::{
    plan,
    ports::{Outfit, Ports},
    scheduler,
    watchdog::Pulse,
};

/// How long an attempt may take to begin: an older version may have to be fitted out, tool servers included.
const BEGINNING: Duration = Duration::from_secs(120);
/// How long writing the end may take while the store answers; its absence is excused.
const END: Duration = Duration::from_secs(60);

/// What an agent does with an event. Implement it to write an agent in Rust; YAML agents are [`Converse`].
pub trait Behaviour: Send + Sync + 'static {
    /// Handles the event of `context` and returns the answer. Every call to the outside goes through `context`, and the
    /// same event must lead to the same calls: after a crash the behaviour runs again over the journal.
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>>;
}

/// An agent's version, fitted out.
pub struct Kit {
    /// The definition.
    pub spec: Arc<AgentSpec>,
    /// Its version.
    pub version: String,
    /// Its model and tools.
    pub outfit: Outfit,
    /// What it does.
    pub behaviour: Arc<dyn Behaviour>,
}

impl Kit {
    /// A YAML agent's.
    pub fn new(spec: Arc<AgentSpec>, outfit: Outfit) -> Self {
        Self::with_behaviour(spec, outfit, Arc::new(Converse))
    }

    /// An agent's that is written in Rust.
    pub fn with_behaviour(spec: Arc<AgentSpec>, outfit: Outfit, behaviour: Arc<dyn Behaviour>) -> Self {
        Self { version: spec.version(), spec, outfit, behaviour }
    }
}

/// What is to be done, by whom, where.
pub struct Assignment {
    /// The claimed execution.
    pub claimed: Claimed,
    /// The agent's present version.
    pub kit: Arc<Kit>,
    /// The outside world.
    pub ports: Arc<Ports>,
    /// The instance's path in the tree.
    pub parent: String,
    /// Where it shows its signs of life.
    pub pulse: Arc<Pulse>,
    /// Asks it to end early.
    pub cancel: CancellationToken,
}

/// How an attempt ended, for those who look after the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Well.
    Succeeded,
    /// Badly; the store knows what follows.
    Failed(Failure),
    /// It belongs to somebody else now.
    Fenced,
    /// It ended early because it was asked to: its journal is complete, and nothing was written of an end.
    Cancelled,
    /// It waits for people or other agents, and nobody holds it.
    Waiting,
    /// Its task panicked or was aborted: nothing was written about it yet.
    Crashed(Failure),
}

/// Runs one attempt and writes its end.
pub async fn run(assignment: Assignment) -> Ending {
    let Assignment { claimed, kit, ports, parent, pulse, cancel } = assignment;
    let (fence, crashes, attempt) = (claimed.fence, claimed.crashes, claimed.attempt);
    let poison = is_poison(&claimed);
    let event = claimed.event.clone();
    tracing::info!(attempt, epoch = fence.epoch, resumed.steps = claimed.journal.len(), "Execution started.");

    let progress = Progress::enter(ports.table.clone(), &parent, fence.execution, event.trace_id, Arc::clone(&pulse));
    let voice = event.reply_to.clone().map(|to| Voice { signs: Arc::clone(&ports.signs), to });
    let progress = progress.with_voice(voice);
    progress.begin("beginning".to_owned(), BEGINNING);
    let mut light = Light::on(&ports.signs, event.reply_to.as_ref(), fence.execution);
    let mut context = Context {
        journal: Journal::new(Arc::clone(&ports.state), &claimed, Arc::clone(&pulse)),
        claimed,
        kit,
        ports: Arc::clone(&ports),
        progress,
        outbox: Vec::new(),
        remembers: Vec::new(),
        kept: Kept::default(),
        checkpoint: None,
        spent: MicroUsd::default(),
        others: MicroUsd::default(),
        granted: MicroUsd::default(),
        earlier: None,
        pulse,
        cancel,
        plan: Shown::default(),
    };
    let result = if poison {
        let why = format!("its process or task died {crashes} times under it; the log of its trace says how");
        Err(Trouble::lasting("poison", why))
    } else {
        attempt_once(&mut context).await
    };
    // On the heap, because thousands run at a time and each would hold the room for its end from its beginning.
    let ending = Box::pin(conclude(context, result, &event)).await;
    if ending == Ending::Waiting {
        light.waits();
    }
    ending
}

async fn attempt_once(context: &mut Context) -> Result<Value, Trouble> {
    if context.claimed.version != context.kit.version {
        context.kit = older_kit(context).await?;
    }
    let kit = Arc::clone(&context.kit);
    let limit = kit.spec.limits.timeout.0;
    context.journal.on_unknown(kit.spec.limits.on_unknown);
    context.between_calls();
    match tokio::time::timeout(limit, kit.behaviour.perform(context)).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::passing(TIMED_OUT, format!("the attempt took longer than {limit:?} (limits.timeout)"))),
    }
}

/// An execution finishes on the version that it began with, also when its file has changed since.
async fn older_kit(context: &Context) -> Result<Arc<Kit>, Trouble> {
    let (agent, version) = (&context.claimed.agent, &context.claimed.version);
    let kept = persist_under(Some(&context.pulse), "version", || context.ports.state.version(agent, version)).await?;
    let spec = kept.and_then(|spec| serde_json::from_value::<AgentSpec>(spec).ok());
    let Some(spec) = spec else {
        tracing::warn!(
            version,
            "The version that the execution began with is not kept; it goes on with the present one."
        );
        return Ok(Arc::clone(&context.kit));
    };
    let spec = Arc::new(spec);
    match context.ports.outfitter.outfit(Arc::clone(&spec)).await {
        Ok(outfit) => Ok(Arc::new(Kit::with_behaviour(spec, outfit, Arc::clone(&context.kit.behaviour)))),
        Err(failure) => Err(Trouble::Failed { failure, lasting: false }),
    }
}

async fn conclude(mut context: Context, result: Result<Value, Trouble>, event: &Event) -> Ending {
    let limits = &context.kit.spec.limits;
    let (conclusion, ending) = match result {
        Ok(answer) => (Conclusion::Succeeded(answer), Ending::Succeeded),
        Err(Trouble::Failed { failure, lasting }) => {
            let attempt = context.claimed.attempt;
            let conclusion = match failure.code == TIMED_OUT && event.source == scheduler::SOURCE {
                // What a schedule wants done has its time, and the next one comes: the time is not given again (R3.5).
                true => Conclusion::Ended { status: ExecutionStatus::TimedOut, failure: failure.clone() },
                false if failure.code == plan::REJECTED => {
                    Conclusion::Ended { status: ExecutionStatus::Cancelled, failure: failure.clone() }
                }
                // What the steps of a plan have done must not be done again by another attempt.
                false => {
                    let lasting = lasting || context.plan.has_begun;
                    after_failure(limits, attempt, failure.clone(), lasting, greenroom_contract::jitter())
                }
            };
            (conclusion, Ending::Failed(failure))
        }
        Err(Trouble::Fenced) => return fenced(),
        Err(Trouble::Cancelled) => return cancelled(context).await,
        Err(Trouble::Waiting) => return wait(context).await,
    };
    let settle = context.journal.take_unsettled();
    let succeeded = matches!(conclusion, Conclusion::Succeeded(_));
    let mut outbox = if succeeded { std::mem::take(&mut context.outbox) } else { Vec::new() };
    outbox.extend(announcement(&context, event, &conclusion));
    outbox.extend(answer_to(event, &conclusion));
    let is_asked_for = matches!(event.reply_to, Some(ReplyTo::Caller { .. })) || context.spec().collaboration.is_some();
    let cost = if is_asked_for { context.cost().await } else { MicroUsd::default() };
    let plan_run = context.plan.end(&context.claimed, &conclusion, cost, &mut outbox);
    let checkpoint = if succeeded { context.checkpoint.take() } else { None };
    log_end(&conclusion, context.journal.len(), context.spent);

    let remembers = if succeeded { std::mem::take(&mut context.remembers) } else { Vec::new() };
    let call = answer_to_caller(&context, event, cost, &conclusion);
    let finish = Finish { conclusion, settle, checkpoint, outbox, call, remembers, plan_run };
    let (ports, fence) = (Arc::clone(&context.ports), context.claimed.fence);
    context.progress.begin("end".to_owned(), END);
    match persist_under(Some(&context.pulse), "finish", || end(&ports, fence, finish.clone())).await {
        Ok(leased) => {
            if !succeeded {
                // A dead letter is told of, too.
                ports.outbox.ring();
            }
            ports.outbox.hand_all(finish.outbox, &leased);
            ports.ended.tell(fence.execution);
            ending
        }
        Err(Error::Fenced) => fenced(),
        Err(error) => {
            tracing::error!(%error, "The end of an execution was refused by the store.");
            Ending::Crashed(Failure::new("finish_refused", error.to_string()))
        }
    }
}

/// Writes the end. Says of each row for the outbox whether it is leased to this node's relay, where that has room.
async fn end(ports: &Ports, fence: Fence, finish: Finish) -> Result<Vec<Option<OutboxId>>, Error> {
    if ports.outbox.has_room() {
        return ports.state.finish_leased(fence, finish, &ports.node).await;
    }
    ports.state.finish(fence, finish).await?;
    Ok(Vec::new())
}

/// What was asked is written with the wait, so that a crash before it has asked nothing: the run then asks again.
async fn wait(mut context: Context) -> Ending {
    context.progress.begin("asking".to_owned(), END);
    let (ports, fence, attempt) = (Arc::clone(&context.ports), context.claimed.fence, context.claimed.attempt);
    match context.journal.flush().await {
        Ok(()) => {}
        Err(Trouble::Fenced) => return fenced(),
        Err(trouble) => return Ending::Crashed(Failure::new("wait_refused", format!("{trouble:?}"))),
    }
    let (mut questions, calls) = (context.journal.take_asked(), context.journal.take_called());
    let rules = &context.kit.spec.clarifications;
    for asked in &mut questions {
        asked.question = clarify::under_rules(rules, asked.question.clone());
    }
    let event = &context.claimed.event;
    // Whoever began the work answers for it, also where an agent asks that another one has asked.
    let person = event.reply_to.as_ref().and_then(ReplyTo::person).cloned().map(ReplyTo::Slack);
    let mut outbox = Vec::new();
    for asked in &questions {
        let id = ClarificationId::of(fence.execution, attempt, asked.seq);
        outbox.extend(clarify::announcement(&context.claimed, id, asked));
        if let Some(to) = person.clone() {
            let text = clarify::card(id, &asked.question);
            outbox.push(Outgoing::Reply { to, text, is_error: false, card: Some(id), trace_id: event.trace_id });
        }
    }
    tracing::info!(questions = questions.len(), calls = calls.len(), "The execution waits for answers.");
    // Before the call is there: its end may be told a moment later.
    calls.iter().for_each(|call| ports.ended.call_back(call.execution(), &context.claimed.agent));
    let plan_run = context.plan.pause(&mut outbox);
    let wait = Wait { questions, calls, reply_to: person, outbox, plan_run };
    match persist_under(Some(&context.pulse), "wait", || ports.state.wait(fence, wait.clone())).await {
        Ok(()) => {
            ports.outbox.ring();
            ports.ended.tell(fence.execution);
            Ending::Waiting
        }
        Err(Error::Fenced) => fenced(),
        Err(error) => {
            tracing::error!(%error, "The questions and calls of an execution were refused by the store.");
            Ending::Crashed(Failure::new("wait_refused", error.to_string()))
        }
    }
}

/// The journal keeps the last call, which is finished and paid for; the rest is for whoever goes on.
async fn cancelled(mut context: Context) -> Ending {
    context.progress.begin("stopping".to_owned(), END);
    match context.journal.flush().await {
        Ok(()) => Ending::Cancelled,
        Err(Trouble::Fenced) => fenced(),
        Err(trouble) => {
            tracing::warn!(
                ?trouble,
                "The last call of an execution that stops early could not be written down; it is made again."
            );
            Ending::Cancelled
        }
    }
}

fn fenced() -> Ending {
    tracing::warn!("The execution belongs to another claim now; what was being done for it is dropped.");
    Ending::Fenced
}

fn log_end(conclusion: &Conclusion, steps: u32, spent: MicroUsd) {
    match conclusion {
        Conclusion::Succeeded(_) => tracing::info!(steps, cost_usd = spent.to_usd(), "Execution succeeded."),
        Conclusion::Retry { failure, after } => {
            tracing::warn!(steps, error = %failure, retry_in_ms = after.as_millis() as u64, "Attempt failed; another follows.");
        }
        Conclusion::Ended { status, failure } => {
            tracing::error!(steps, %status, error = %failure, "Execution ended without success.");
        }
    }
}

/// The result, for whoever listens on the agent's output topic.
fn announcement(context: &Context, event: &Event, conclusion: &Conclusion) -> Option<Outgoing> {
    let execution_id = context.claimed.fence.execution;
    let agent = &context.claimed.agent;
    let (status, detail) = match conclusion {
        Conclusion::Succeeded(output) => (ExecutionStatus::Succeeded, json!({ "output": output })),
        Conclusion::Ended { status, failure } => (*status, json!({ "error": failure })),
        Conclusion::Retry { .. } => return None,
    };
    let mut payload = json!({ "agent": agent, "execution_id": execution_id, "status": status });
    if let (Some(payload), Value::Object(detail)) = (payload.as_object_mut(), detail) {
        payload.extend(detail);
    }
    let mut result = Event::new(agent.output_topic(), format!("agent/{agent}"), event.trace_id, payload);
    result.event_id = EventId::derived(&["output", &execution_id.to_string()]);
    result.correlation_id = Some(event.event_id.to_string());
    result.conversation.clone_from(&event.conversation);
    Some(Outgoing::Event { event: result, mandatory: false })
}

/// The answer to a person, or to a topic that the event named.
fn answer_to(event: &Event, conclusion: &Conclusion) -> Option<Outgoing> {
    let to = event.reply_to.clone()?;
    let (text, is_error) = match conclusion {
        Conclusion::Succeeded(Value::String(text)) => (text.clone(), false),
        Conclusion::Succeeded(other) => (other.to_string(), false),
        Conclusion::Ended { failure, .. } => {
            (format!("Sorry, this could not be done ({}). Trace: `{}`", failure.code, event.trace_id), true)
        }
        Conclusion::Retry { .. } => return None,
    };
    match to {
        ReplyTo::Slack(_) => Some(Outgoing::Reply { to, text, is_error, card: None, trace_id: event.trace_id }),
        ReplyTo::Caller { .. } => None,
        ReplyTo::Topic { topic } => {
            let payload = json!({ "text": text, "is_error": is_error });
            let mut reply = Event::new(topic, "reply", event.trace_id, payload);
            reply.event_id = EventId::derived(&["reply", &event.event_id.to_string()]);
            reply.correlation_id = Some(event.event_id.to_string());
            Some(Outgoing::Event { event: reply, mandatory: false })
        }
    }
}

/// The answer to another agent that waits for it.
fn answer_to_caller(context: &Context, event: &Event, cost: MicroUsd, conclusion: &Conclusion) -> Option<CallResult> {
    let Some(ReplyTo::Caller { .. }) = &event.reply_to else { return None };
    let execution = context.claimed.fence.execution;
    match conclusion {
        Conclusion::Succeeded(output) => Some(CallResult::answered(execution, output.clone(), cost)),
        Conclusion::Ended { status, failure } => {
            Some(CallResult::failed(execution, *status, failure.clone()).costing(cost))
        }
        Conclusion::Retry { .. } => None,
    }
}

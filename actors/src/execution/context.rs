//! What a behaviour works with: its event, its agent's state, and journaled calls.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    AgentId, Event, EventId, MicroUsd,
    execution::{Claimed, Effect, StepKind},
    port::{
        llm::{self, Request, Response},
        memory::Remember,
        state::{Checkpoint, CheckpointKey, NewCheckpoint, Outgoing},
        tool::{Emit, ToolSpec},
    },
    status::StepStatus,
    topic::check_open_topic,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    budget::{Paid, name_of},
    collaborating::{MOST_STEPS_OF_A_RUN, Shown},
    entry::{Ask, Outcome},
    hash,
    journal::Journal,
    mind::Kept,
    model::{self, Broken},
    persist::persist_under,
    progress::Progress,
    run::Kit,
    trouble::Trouble,
};
use crate::{ports::Ports, watchdog::Pulse};

/// How much longer than the provider's own deadline a silence is borne: the provider ends it, this is the net below.
pub(super) const SILENCE_NET: Duration = Duration::from_secs(5);

/// An attempt at work. Every call to the outside goes through it and is journaled.
pub struct Context {
    pub(super) claimed: Claimed,
    pub(super) kit: Arc<Kit>,
    pub(super) ports: Arc<Ports>,
    pub(super) journal: Journal,
    pub(super) progress: Progress,
    pub(super) outbox: Vec<Outgoing>,
    pub(super) remembers: Vec<Remember>,
    pub(super) kept: Kept,
    pub(super) checkpoint: Option<NewCheckpoint>,
    pub(super) spent: MicroUsd,
    /// What other agents cost that it asked.
    pub(super) others: MicroUsd,
    /// What people have allowed to be spent beyond the budgets.
    pub(super) granted: MicroUsd,
    /// What earlier attempts spent, once it was asked for.
    pub(super) earlier: Option<MicroUsd>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) cancel: CancellationToken,
    /// What people see of the plan run, written when the run ends or waits.
    pub(super) plan: Shown,
}

impl Context {
    /// The event that is handled.
    pub fn event(&self) -> &Event {
        &self.claimed.event
    }

    /// The agent.
    pub fn agent(&self) -> &AgentId {
        &self.claimed.agent
    }

    /// The agent's definition, in the version on which the execution began.
    pub fn spec(&self) -> &greenroom_config::AgentSpec {
        &self.kit.spec
    }

    /// The tools that can be asked for now.
    pub fn tools(&self) -> Vec<ToolSpec> {
        let mut tools = self.kit.outfit.tools.list();
        if let Some(reading) = self.reading() {
            tools.retain(|tool| tool.name != reading.name);
            tools.push(reading);
        }
        tools
    }

    /// Says what the behaviour itself is about to do between its calls, and for how long it may go without a sign of
    /// life; calling it again is one. Computing for long belongs on a blocking thread, whose end is awaited: a behaviour
    /// that holds its thread for over a second is ended.
    pub fn working(&self, on: &str, silence: Duration) {
        self.progress.begin(on.to_owned(), silence);
    }

    /// Resolves when the execution is asked to end early. Calls refuse by themselves from then on; a behaviour that waits
    /// for something else should give up too.
    pub fn cancelled(&self) -> WaitForCancellationFutureOwned {
        self.cancel.clone().cancelled_owned()
    }

    /// The agent's state in the event's conversation, with the newest messages that its limits allow.
    pub async fn checkpoint(&self) -> Result<Checkpoint, Trouble> {
        self.newest(self.spec().limits.history).await
    }

    /// The same with so many of the newest messages.
    pub(super) async fn newest(&self, messages: u32) -> Result<Checkpoint, Trouble> {
        let key = self.checkpoint_key();
        Ok(persist_under(Some(&self.pulse), "checkpoint", || self.ports.state.checkpoint(&key, messages)).await?)
    }

    /// Sets the agent's new state; it is saved in the transaction that finishes the execution.
    pub fn save(&mut self, replaces: u64, data: Value, append: Vec<llm::Message>) {
        self.checkpoint = Some(NewCheckpoint { key: self.checkpoint_key(), replaces, data, append });
    }

    /// Asks the model. Journaled: a finished call is never paid twice.
    pub async fn ask(&mut self, request: Request) -> Result<Response, Trouble> {
        self.check_going()?;
        let Paid { llm, hold } = self.afford(&request).await?;
        let silence = request.silence;
        let lease = silence + SILENCE_NET;
        let name = name_of(&*llm);
        let ask = Ask {
            kind: StepKind::Llm,
            // Of the request as it was asked: how much of it fits the model is decided anew after a restart.
            request_hash: hash::of_request(llm.provider(), llm.model(), &request),
            name: name.clone(),
            effect: Effect::None,
        };
        self.progress.begin(format!("llm {name}"), lease);
        let progress = &self.progress;
        let mut failure = None;
        let failed = &mut failure;
        let outcome = self
            .journal
            .step(ask, |key| async move {
                // The call begins now: writing its intention may have taken a while.
                progress.beat(lease);
                match model::ask(&*llm, Request { idempotency_key: key, ..request }, lease, progress).await {
                    Ok(response) => {
                        let (usage, cost) = (Some(response.usage), response.cost);
                        Outcome { status: StepStatus::Settled, result: to_json(&response), usage, cost, asks: None }
                    }
                    Err(Broken { error, usage, cost }) => {
                        let result = json!({ "error": error.code(), "message": error.to_string(), "transient": error.is_transient() });
                        *failed = Some(error);
                        Outcome { status: StepStatus::Failed, result, usage, cost, asks: None }
                    }
                }
            })
            .await?;
        let cost = outcome.cost.unwrap_or_default();
        if let Some(hold) = hold {
            hold.settle(cost);
        }
        self.spent = self.spent + cost;
        self.between_calls();
        if outcome.status == StepStatus::Failed {
            return Err(failed_ask(failure, &outcome.result));
        }
        serde_json::from_value(outcome.result).map_err(|error| {
            Trouble::lasting("journal_unreadable", format!("a journaled answer cannot be read: {error}"))
        })
    }

    /// Sends an event with the transaction that finishes the execution. Its id belongs to this place in the journal, so
    /// that a resume does not send it twice. Fails for good for a topic that is none, or under which only the runtime
    /// itself speaks.
    pub fn emit(&mut self, emit: &Emit) -> Result<(), Trouble> {
        if let Err(why) = check_open_topic(&emit.topic) {
            return Err(Trouble::lasting("bad_topic", format!("the topic {:?} {why}", emit.topic)));
        }
        let claimed = &self.claimed;
        let mut event = Event::new(
            emit.topic.clone(),
            format!("agent/{}", claimed.agent),
            claimed.event.trace_id,
            emit.payload.clone(),
        );
        let place = format!("{}/{}", claimed.attempt, self.outbox.len());
        event.event_id = EventId::derived(&["emit", &claimed.fence.execution.to_string(), &place]);
        event.correlation_id = Some(claimed.event.event_id.to_string());
        self.outbox.push(Outgoing::Event { event, mandatory: false });
        Ok(())
    }

    fn checkpoint_key(&self) -> CheckpointKey {
        let conversation = self.claimed.event.conversation.clone().unwrap_or_default();
        CheckpointKey { agent: self.claimed.agent.clone(), conversation }
    }

    /// The behaviour has its turn, and gets as long for it as a model would.
    pub(super) fn between_calls(&self) {
        self.progress.begin("between calls".to_owned(), self.spec().limits.silence.0 + SILENCE_NET);
    }

    /// How many more steps may be made; at least one.
    pub(super) fn check_going(&self) -> Result<usize, Trouble> {
        if self.cancel.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        // A plan has its own bounds.
        let (most, whose) = match self.spec().collaboration {
            Some(_) => (MOST_STEPS_OF_A_RUN, "as a run of a plan may"),
            None => (self.spec().limits.max_steps, "as limits.max_steps allows"),
        };
        if self.journal.len() < most {
            return Ok((most - self.journal.len()) as usize);
        }
        Err(Trouble::lasting("max_steps", format!("the attempt made {most} steps, as many {whose}")))
    }
}

/// The failure of a model call, now or in the journal.
fn failed_ask(error: Option<llm::Error>, journaled: &Value) -> Trouble {
    if let Some(error) = error {
        let failure = greenroom_contract::execution::Failure::new(error.code(), error.to_string());
        return Trouble::Failed { failure, lasting: !error.is_transient() };
    }
    let word = |key: &str| journaled[key].as_str().unwrap_or("unknown").to_owned();
    let failure = greenroom_contract::execution::Failure::new(&word("error"), word("message"));
    Trouble::Failed { failure, lasting: journaled["transient"] != json!(true) }
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Value {
    // Answers have string keys only; nothing in them refuses.
    serde_json::to_value(value).unwrap_or(Value::Null)
}

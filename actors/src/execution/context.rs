//! What a behaviour works with: its event, its agent's state, and journaled calls.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use greenroom_contract::{
    AgentId, Event, EventId, MicroUsd,
    execution::{Claimed, Effect, StepKind},
    port::{
        llm::{self, Chunk, Request, Response},
        state::{Checkpoint, CheckpointKey, NewCheckpoint, Outgoing},
        tool::{Emit, ToolSpec},
    },
    status::StepStatus,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    hash,
    journal::{Ask, Journal, Outcome, Trouble},
    persist::persist_under,
    progress::Progress,
    run::Kit,
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
    pub(super) checkpoint: Option<NewCheckpoint>,
    pub(super) spent: MicroUsd,
    pub(super) pulse: Arc<Pulse>,
    pub(super) cancel: CancellationToken,
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
        self.kit.outfit.tools.list()
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
        let key = self.checkpoint_key();
        let history = self.spec().limits.history;
        Ok(persist_under(Some(&self.pulse), "checkpoint", || self.ports.state.checkpoint(&key, history)).await?)
    }

    /// Sets the agent's new state; it is saved in the transaction that finishes the execution.
    pub fn save(&mut self, replaces: u64, data: Value, append: Vec<llm::Message>) {
        self.checkpoint = Some(NewCheckpoint { key: self.checkpoint_key(), replaces, data, append });
    }

    /// Asks the model. Journaled: a finished call is never paid twice.
    pub async fn ask(&mut self, request: Request) -> Result<Response, Trouble> {
        self.check_going()?;
        self.check_budget().await?;
        let llm = Arc::clone(&self.kit.outfit.llm);
        let silence = request.silence;
        let lease = silence + SILENCE_NET;
        let (provider, model) = (llm.provider().to_owned(), llm.model().to_owned());
        let ask = Ask {
            kind: StepKind::Llm,
            name: format!("{provider}/{model}"),
            request_hash: hash::of_request(&provider, &model, &request),
            effect: Effect::None,
        };
        self.progress.begin(format!("llm {provider}/{model}"), lease);
        let progress = &self.progress;
        let mut failure = None;
        let failed = &mut failure;
        let outcome = self
            .journal
            .step(ask, |key| async move {
                // The call begins now: writing its intention may have taken a while.
                progress.beat(lease);
                let answer = converse(&*llm, Request { idempotency_key: key, ..request }, lease, progress).await;
                match answer {
                    Ok(response) => {
                        let (usage, cost) = (Some(response.usage), response.cost);
                        Outcome { status: StepStatus::Settled, result: to_json(&response), usage, cost }
                    }
                    Err(error) => {
                        let result = json!({ "error": error.code(), "message": error.to_string(), "transient": error.is_transient() });
                        *failed = Some(error);
                        Outcome { status: StepStatus::Failed, result, usage: None, cost: None }
                    }
                }
            })
            .await?;
        self.between_calls();
        if outcome.status == StepStatus::Failed {
            return Err(failed_ask(failure, &outcome.result));
        }
        self.spent = self.spent + outcome.cost.unwrap_or_default();
        serde_json::from_value(outcome.result).map_err(|error| {
            Trouble::lasting("journal_unreadable", format!("a journaled answer cannot be read: {error}"))
        })
    }

    /// Sends an event with the transaction that finishes the execution. Its id belongs to this place in the journal, so
    /// that a resume does not send it twice.
    pub fn emit(&mut self, emit: &Emit) {
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
        let most = self.spec().limits.max_steps;
        if self.journal.len() < most {
            return Ok((most - self.journal.len()) as usize);
        }
        Err(Trouble::lasting("max_steps", format!("the attempt made {most} steps, as many as limits.max_steps allows")))
    }

    /// Money: checked before each call, against what is known to be spent. A call may still overshoot by its own price.
    async fn check_budget(&self) -> Result<(), Trouble> {
        let budget = self.spec().limits.budget_usd;
        if let Some(most) = budget.per_execution
            && self.spent >= MicroUsd::from_usd(most)
        {
            let why = format!("the execution spent {} of its {}", self.spent, MicroUsd::from_usd(most));
            return Err(Trouble::lasting("budget_exhausted", why));
        }
        if let Some(most) = budget.per_day {
            let today = start_of_day(self.ports.clock.now());
            let spent =
                persist_under(Some(&self.pulse), "budget", || self.ports.state.spent(&self.claimed.agent, today))
                    .await?;
            if spent.cost >= MicroUsd::from_usd(most) {
                let why = format!("the agent spent {} of its {} of today (UTC)", spent.cost, MicroUsd::from_usd(most));
                return Err(Trouble::lasting("budget_exhausted", why));
            }
        }
        Ok(())
    }
}

/// Hears the whole answer; each chunk is a sign of life.
async fn converse(
    llm: &dyn llm::Llm,
    request: Request,
    silence: Duration,
    progress: &Progress,
) -> Result<Response, llm::Error> {
    let mut chunks = llm.stream(request);
    loop {
        match tokio::time::timeout(silence, chunks.next()).await {
            Ok(Some(Ok(Chunk::Done(response)))) => return Ok(*response),
            Ok(Some(Ok(Chunk::Text(_) | Chunk::Progress))) => progress.beat(silence),
            Ok(Some(Err(error))) => return Err(error),
            Ok(None) => {
                let message = "it ended without a last chunk".to_owned();
                return Err(llm::Error::Interrupted { provider: llm.provider().to_owned(), message });
            }
            Err(_) => return Err(llm::Error::Timeout { provider: llm.provider().to_owned(), after: silence }),
        }
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

fn start_of_day(now: jiff::Timestamp) -> jiff::Timestamp {
    let day = now.as_second().div_euclid(86_400) * 86_400;
    jiff::Timestamp::from_second(day).unwrap_or(now)
}

//! The machine, as its doors see it: `port::operator`.

use std::time::Duration;

use greenroom_contract::{
    AgentId, BoxFuture, ClarificationId, Event, EventId, ExecutionId, PlanRunId, TraceId,
    clarification::Clarification,
    execution::{Execution, Failure},
    port::{
        operator::{
            AgentView, ComponentHealth, Error, Health, HealthStatus, Invocation, Invoked, NewTask, NodeView, Operator,
            PlanRunShown, RetryFrom, ScheduleShown, ScheduleView, Scope,
        },
        state::{self, OutboxRow, Outgoing, Submission, Submitted},
    },
    status::{AgentStatus, ExecutionStatus},
    topic::check_open_topic,
    tree::{Feed, Tree},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::registry::Orchestrator;
use crate::{cluster::NodeVerb, ports::Ports};

/// How often a waiting caller looks into the store without being told to: another node may finish the execution.
const LOOK_ANYWAY: Duration = Duration::from_millis(250);
/// When it looks for the first time: it may have ended long ago.
const FIRST_LOOK: Duration = Duration::from_millis(50);

impl Operator for Orchestrator {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(self.invoke_agent(invocation))
    }

    fn publish(&self, event: Event) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.check_open()?;
            check_open_topic(&event.event_type).map_err(|why| Error::Invalid { why: format!("event_type {why}") })?;
            self.submit(event, None).await?;
            Ok(())
        })
    }

    fn wait(&self, execution: ExecutionId, at_most: Duration) -> BoxFuture<'_, Result<Execution, Error>> {
        Box::pin(self.wait_for(execution, at_most))
    }

    fn cancel(&self, execution: ExecutionId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let state = &self.inner.ports.state;
            let found = state.execution(execution).await?.ok_or_else(|| not_found("execution", &execution))?;
            let failure = Failure::new("cancelled", "an operator cancelled it");
            if !state.cancel(execution, failure.clone()).await? {
                return Err(Error::Conflict { why: format!("the execution is {} already", found.status) });
            }
            tracing::info!(trace_id = %found.trace_id, execution_id = %execution, agent = %found.agent, "Execution cancelled by an operator.");
            let verb = NodeVerb::Cancel(found.agent, execution);
            self.carry_out(&verb);
            if let Some(cluster) = self.cluster() {
                // Whoever runs it finds out at its next write anyway; this only saves the call that is under way.
                cluster.tell(verb).await;
            }
            self.inner.ports.ended.tell(execution);
            // Who asked is told of it.
            self.inner.ports.outbox.ring();
            self.tell_of_cancelled(execution, &failure).await;
            Ok(())
        })
    }

    fn answer(
        &self,
        clarification: ClarificationId,
        answer: Value,
        by: String,
    ) -> BoxFuture<'_, Result<Clarification, Error>> {
        Box::pin(self.answer_question(clarification, answer, by))
    }

    fn start_task(&self, task: NewTask) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(self.take_task(task))
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<PlanRunShown, Error>> {
        Box::pin(self.show_plan_run(id))
    }

    fn approve_plan(
        &self,
        id: PlanRunId,
        digest: Option<String>,
        approve: bool,
        by: String,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.decide_on_plan(id, digest, approve, by))
    }

    fn retry_plan(
        &self,
        id: PlanRunId,
        from: Option<RetryFrom>,
        trace_id: TraceId,
    ) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(self.fork_plan(id, from, trace_id))
    }

    fn agents(&self) -> Vec<AgentView> {
        self.agents_everywhere()
    }

    fn tree(&self, scope: Scope) -> Tree {
        self.tree_of(scope)
    }

    fn tree_writes(&self) -> u64 {
        // Each only grows, so that the sum says the same only if neither changed.
        self.inner.ports.table.writes() + self.cluster().map_or(0, |cluster| cluster.writes())
    }

    fn others(&self) -> Option<Feed> {
        self.cluster().map(|cluster| cluster.feed())
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, Error>> {
        Box::pin(self.nodes_everywhere())
    }

    fn tree_json(&self, scope: Scope) -> Vec<u8> {
        if self.cluster().is_none() || scope == Scope::Node {
            return self.inner.ports.table.json(&self.inner.ports.node, &self.inner.roles.words());
        }
        // Every field serialises: maps have string keys and no value refuses.
        serde_json::to_vec(&self.tree_of(scope)).unwrap_or_default()
    }

    fn restart(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>> {
        self.verb(agent, NodeVerb::Restart)
    }

    fn pause(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>> {
        self.verb(agent, NodeVerb::Pause)
    }

    fn resume(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), Error>> {
        self.verb(agent, NodeVerb::Resume)
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<ScheduleView>, Error>> {
        Box::pin(self.all_schedules())
    }

    fn schedule(&self, agent: &AgentId) -> BoxFuture<'_, Result<ScheduleShown, Error>> {
        Box::pin(self.one_schedule(agent.clone()))
    }

    fn trigger_schedule(
        &self,
        agent: &AgentId,
        trace_id: TraceId,
        idempotency_key: Option<String>,
    ) -> BoxFuture<'_, Result<Invoked, Error>> {
        Box::pin(self.trigger_now(agent.clone(), trace_id, idempotency_key))
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.hold_schedule(agent.clone(), paused))
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        Box::pin(async move {
            let mut components = self.inner.vitals.components();
            components.push(self.threads_health());
            components.push(self.agents_health());
            components.push(self.providers_health());
            components.push(self.config_health());
            components.extend(self.schedules_health());
            components.extend(self.stop_health());
            let status = components.iter().map(|component| component.status).max().unwrap_or(HealthStatus::Ok);
            Health { status, ready: self.table().ready && status != HealthStatus::Down, components }
        })
    }
}

impl Orchestrator {
    pub(super) async fn invoke_agent(&self, invocation: Invocation) -> Result<Invoked, Error> {
        let Invocation { agent, input, priority, conversation, trace_id, source, idempotency_key, reply_to } =
            invocation;
        self.check_open()?;
        if self.entry(&agent).is_none() && !self.table().desired.contains_key(&agent) {
            return Err(not_found("agent", &agent));
        }
        let mut event = Event::new(agent.input_topic(), source, trace_id, json!({ "input": input }));
        event.priority = priority;
        event.conversation = conversation;
        event.reply_to = reply_to;
        if let Some(key) = &idempotency_key {
            event.event_id = EventId::derived(&["invoke", agent.as_str(), key]);
        }
        let state = &self.inner.ports.state;
        let submitted = self.submit(event, Some(agent.clone())).await?;
        let execution_id = ExecutionId::of(&agent, submitted.event.event_id);
        let status = match submitted.repeated {
            true => state.execution(execution_id).await?.map_or(ExecutionStatus::Queued, |execution| execution.status),
            false => ExecutionStatus::Queued,
        };
        let trace_id = submitted.event.trace_id;
        tracing::info!(%agent, %execution_id, repeated = submitted.repeated, "Invocation taken in.");
        Ok(Invoked { execution_id, trace_id, status })
    }

    /// Writes the outbox row, and hands it to the relay at once where the store can lease it to us in the same commit.
    pub(super) async fn submit(&self, event: Event, agent: Option<AgentId>) -> Result<Submitted, state::Error> {
        let Ports { state, outbox, node, .. } = &*self.inner.ports;
        let mandatory = agent.is_some();
        let submission = Submission { event, agent };
        if !outbox.has_room() {
            let submitted = state.submit(submission).await?;
            outbox.ring();
            return Ok(submitted);
        }
        let (submitted, leased) = state.submit_leased(submission, node).await?;
        match leased {
            Some(id) => {
                let outgoing = Outgoing::Event { event: submitted.event.clone(), mandatory };
                outbox.hand(OutboxRow { id, outgoing, attempts: 0 });
            }
            None => outbox.ring(),
        }
        Ok(submitted)
    }

    async fn wait_for(&self, id: ExecutionId, at_most: Duration) -> Result<Execution, Error> {
        let deadline = Instant::now() + at_most;
        // Most callers wait for what they have just given, and many answers are there soon: the store is asked once.
        let ended = self.inner.ports.ended.listen(id);
        let mut look_anyway = FIRST_LOOK;
        loop {
            // Either way the store is asked.
            drop(tokio::time::timeout_at(deadline.min(Instant::now() + look_anyway), ended.heard()).await);
            look_anyway = LOOK_ANYWAY;
            let execution = self.inner.ports.state.execution(id).await?.ok_or_else(|| not_found("execution", &id))?;
            // Who waits for other agents goes on by itself, unless they wait for people.
            let stands = match execution.status {
                ExecutionStatus::Waiting => !self.questions_for(id).await?.is_empty(),
                status => status.is_final(),
            };
            if stands || Instant::now() >= deadline {
                return Ok(execution);
            }
        }
    }

    /// Intake stops as soon as the node is told to stop.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.table().ready {
            return Ok(());
        }
        Err(Error::Unavailable { why: "the node is starting or stopping; try again in a moment".to_owned() })
    }

    fn verb(&self, agent: &AgentId, verb: fn(AgentId) -> NodeVerb) -> BoxFuture<'_, Result<(), Error>> {
        let agent = agent.clone();
        Box::pin(async move { self.everywhere(&agent, verb(agent.clone())).await })
    }

    fn threads_health(&self) -> ComponentHealth {
        let reason = self.inner.ports.watchdog.too_many_lost();
        let status = if reason.is_some() { HealthStatus::Down } else { HealthStatus::Ok };
        ComponentHealth { component: "threads".to_owned(), status, reason }
    }

    fn agents_health(&self) -> ComponentHealth {
        let bad: Vec<String> = self
            .agents_here()
            .into_iter()
            .filter(|agent| {
                matches!(agent.status, AgentStatus::Failed | AgentStatus::Unavailable) || !agent.degraded.is_empty()
            })
            .map(|agent| {
                format!(
                    "{} is {}",
                    agent.name,
                    if agent.degraded.is_empty() { agent.status.as_str() } else { "degraded" }
                )
            })
            .collect();
        component("agents", bad)
    }

    /// Keys and models that are held back: agents wait for them or have fallbacks, and the node serves on.
    fn providers_health(&self) -> ComponentHealth {
        let now = Timestamp::now();
        let held = self.inner.ports.table.places_under("providers").into_iter().filter(|place| {
            matches!(place.status, AgentStatus::Paused | AgentStatus::Unavailable)
                && place.until.is_none_or(|until| until > now)
        });
        let told = held.map(|place| {
            let cause = place.failures.front().map(|past| past.failure.code.clone()).unwrap_or_default();
            let until = place.until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
            format!("{} is held back{until}: {cause}", place.id.trim_start_matches("providers/"))
        });
        component("providers", told.collect())
    }

    /// What a stop still waits for.
    fn stop_health(&self) -> Option<ComponentHealth> {
        let phase = self.table().stopping?;
        let busy = self.agents().into_iter().filter(|agent| agent.running > 0);
        let busy: Vec<String> = busy.map(|agent| format!("{} ({})", agent.name, agent.running)).collect();
        let at_work = if busy.is_empty() { "nobody".to_owned() } else { busy.join(", ") };
        let reason = Some(format!("the node is stopping its {phase}; still at work: {at_work}"));
        Some(ComponentHealth { component: "shutdown".to_owned(), status: HealthStatus::Degraded, reason })
    }

    fn config_health(&self) -> ComponentHealth {
        let bad = self.table().refused.iter().map(|refused| format!("{} is refused", refused.file.display())).collect();
        component("config", bad)
    }
}

/// A component that works with something missing, or all of it.
fn component(name: &str, bad: Vec<String>) -> ComponentHealth {
    let status = if bad.is_empty() { HealthStatus::Ok } else { HealthStatus::Degraded };
    let reason = (!bad.is_empty()).then(|| bad.join("; "));
    ComponentHealth { component: name.to_owned(), status, reason }
}

pub(super) fn not_found(what: &str, which: &dyn std::fmt::Display) -> Error {
    Error::NotFound { what: format!("{what} {which}") }
}

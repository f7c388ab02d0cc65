//! Fake ports, and requests against a whole router.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use greenroom_contract::{
    AgentId, BoxFuture, Clock, Event, NodeId, TraceId,
    clarification::Clarification,
    execution::{Execution, Failure},
    id::{ClarificationId, ExecutionId, PlanRunId},
    port::operator::{
        self, AgentView, Health, HealthStatus, Invocation, Invoked, NewTask, NodeView, Operator, PlanRunShown,
        RetryFrom, ScheduleShown, ScheduleView, Scope,
    },
    status::{AgentStatus, ExecutionStatus},
    tree::{Feed, NodeTree, Table, Tree},
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    bus::FakeBus,
    clarifications::question,
    samples::{agent, execution, schedule},
    signed::{SECRET, signed},
    store::FakeState,
};
use crate::{
    Doors, router,
    slack::{SlackDoor, SlackRules, SlackWeb, WebOptions},
};

/// The moment at which the fake clock stands: that of Slack's published vector.
pub(crate) const NOW: i64 = 1_531_420_618;

pub(crate) struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }
}

/// What the machine does when it is asked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    Unavailable,
    Conflict,
    /// It never answers.
    Hangs,
    Panics,
}

pub(crate) struct FakeOperator {
    /// What its tree is read from.
    pub(crate) table: Table,
    /// What it hears of other nodes.
    pub(crate) feed: Feed,
    /// How its agent `researcher` is.
    pub(crate) status: Mutex<AgentStatus>,
    /// The verbs that were asked for, in order.
    pub(crate) verbs: Mutex<Vec<(&'static str, String)>>,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) invocations: Mutex<Vec<Invocation>>,
    pub(crate) tasks: Mutex<Vec<NewTask>>,
    /// How an execution is when it is waited for.
    pub(crate) outcome: Mutex<Option<ExecutionStatus>>,
    pub(crate) down: Mutex<bool>,
    /// Told whenever a call comes in.
    pub(crate) entered: Notify,
}

impl FakeOperator {
    fn new() -> Self {
        let table = Table::new(&NodeId::new("n1"));
        table.enter("agents", "supervisor", AgentStatus::Running);
        table.enter("agents/customer-support", "agent", AgentStatus::Idle);
        table.enter("agents/customer-support/0", "instance", AgentStatus::Idle);
        table.enter("agents/researcher", "agent", AgentStatus::Failed);
        table.failed("agents/researcher", Failure::new("panicked", "boom\n\u{1b}[31mred"), None);
        Self {
            table,
            feed: Feed::starting_at(Timestamp::now()),
            status: Mutex::new(AgentStatus::Failed),
            verbs: Mutex::default(),
            mood: Mutex::default(),
            events: Mutex::default(),
            invocations: Mutex::default(),
            tasks: Mutex::default(),
            outcome: Mutex::default(),
            down: Mutex::default(),
            entered: Notify::new(),
        }
    }

    fn told(&self, verb: &'static str, agent: &AgentId) -> BoxFuture<'_, Result<(), operator::Error>> {
        let agent = agent.to_string();
        Box::pin(async move {
            self.feel().await?;
            if !self.agents().iter().any(|known| known.name.as_str() == agent) {
                return Err(operator::Error::NotFound { what: format!("agent {agent:?}") });
            }
            self.verbs.lock().unwrap().push((verb, agent));
            Ok(())
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) async fn feel(&self) -> Result<(), operator::Error> {
        self.entered.notify_one();
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => Ok(()),
            Mood::Unavailable => Err(operator::Error::Unavailable { why: "the store is unavailable: no space".into() }),
            Mood::Conflict => Err(operator::Error::Conflict { why: "the key was used before".into() }),
            Mood::Hangs => std::future::pending().await,
            Mood::Panics => panic!("a secret of the handler"),
        }
    }
}

impl Operator for FakeOperator {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<Invoked, operator::Error>> {
        Box::pin(async move {
            self.feel().await?;
            if invocation.agent.as_str() != "customer-support" {
                return Err(operator::Error::NotFound { what: format!("agent {:?}", invocation.agent.as_str()) });
            }
            let trace_id = invocation.trace_id;
            self.invocations.lock().unwrap().push(invocation);
            let execution_id = execution(ExecutionStatus::Queued).id;
            Ok(Invoked { execution_id, trace_id, status: ExecutionStatus::Queued })
        })
    }

    fn publish(&self, event: Event) -> BoxFuture<'_, Result<(), operator::Error>> {
        Box::pin(async move {
            self.feel().await?;
            self.events.lock().unwrap().push(event);
            Ok(())
        })
    }

    fn wait(&self, _: ExecutionId, at_most: Duration) -> BoxFuture<'_, Result<Execution, operator::Error>> {
        Box::pin(async move {
            let outcome = *self.outcome.lock().unwrap();
            match outcome {
                Some(status) => Ok(execution(status)),
                None => {
                    tokio::time::sleep(at_most).await;
                    Ok(execution(ExecutionStatus::Running))
                }
            }
        })
    }

    fn cancel(&self, execution: ExecutionId) -> BoxFuture<'_, Result<(), operator::Error>> {
        self.verbs.lock().unwrap().push(("cancel", execution.to_string()));
        Box::pin(self.feel())
    }

    fn answer(
        &self,
        clarification: ClarificationId,
        answer: Value,
        by: String,
    ) -> BoxFuture<'_, Result<Clarification, operator::Error>> {
        self.verbs.lock().unwrap().push(("answer", format!("{clarification} {answer} {by}")));
        Box::pin(async move {
            self.feel().await?;
            Ok(Clarification { answer: Some(answer), answered_by: Some(by), ..question(clarification) })
        })
    }

    fn start_task(&self, task: NewTask) -> BoxFuture<'_, Result<Invoked, operator::Error>> {
        Box::pin(self.take_task(task))
    }

    fn plan_run(&self, id: PlanRunId) -> BoxFuture<'_, Result<PlanRunShown, operator::Error>> {
        Box::pin(self.show_plan_run(id))
    }

    fn approve_plan(
        &self,
        id: PlanRunId,
        digest: Option<String>,
        approve: bool,
        by: String,
    ) -> BoxFuture<'_, Result<(), operator::Error>> {
        let what = format!("{id} {} {approve} {by}", digest.unwrap_or_default());
        self.verbs.lock().unwrap().push(("approve", what));
        Box::pin(self.feel())
    }

    fn retry_plan(
        &self,
        id: PlanRunId,
        from: Option<RetryFrom>,
        trace_id: TraceId,
    ) -> BoxFuture<'_, Result<Invoked, operator::Error>> {
        self.verbs.lock().unwrap().push(("retry", format!("{id} {from:?}")));
        Box::pin(self.begin_anew(trace_id))
    }

    fn agents(&self) -> Vec<AgentView> {
        let status = *self.status.lock().unwrap();
        vec![agent("customer-support", AgentStatus::Idle), agent("researcher", status)]
    }

    fn tree(&self, _: Scope) -> Tree {
        let (version, root) = self.table.snapshot_at();
        let (node, roles) = (NodeId::new("n1"), vec!["gateway".into()]);
        Tree { complete: true, nodes: vec![NodeTree { node, roles, reachable: true, version, root }] }
    }

    fn tree_writes(&self) -> u64 {
        self.table.writes()
    }

    fn others(&self) -> Option<Feed> {
        Some(self.feed.clone())
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeView>, operator::Error>> {
        Box::pin(async { Ok(vec![NodeView { node: NodeId::new("n1"), ..NodeView::unknown() }]) })
    }

    fn restart(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), operator::Error>> {
        self.told("restart", agent)
    }

    fn pause(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), operator::Error>> {
        self.told("pause", agent)
    }

    fn resume(&self, agent: &AgentId) -> BoxFuture<'_, Result<(), operator::Error>> {
        self.told("resume", agent)
    }

    fn schedules(&self) -> BoxFuture<'_, Result<Vec<ScheduleView>, operator::Error>> {
        Box::pin(async move {
            self.feel().await?;
            Ok(vec![schedule()])
        })
    }

    fn schedule(&self, agent: &AgentId) -> BoxFuture<'_, Result<ScheduleShown, operator::Error>> {
        let found = self.told("show schedule", agent);
        Box::pin(async move {
            found.await?;
            Ok(ScheduleShown { schedule: schedule(), firings: vec![] })
        })
    }

    fn trigger_schedule(
        &self,
        agent: &AgentId,
        trace_id: TraceId,
        _: Option<String>,
    ) -> BoxFuture<'_, Result<Invoked, operator::Error>> {
        let found = self.told("trigger schedule", agent);
        Box::pin(async move {
            found.await?;
            let execution_id = execution(ExecutionStatus::Queued).id;
            Ok(Invoked { execution_id, trace_id, status: ExecutionStatus::Queued })
        })
    }

    fn pause_schedule(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<(), operator::Error>> {
        self.told(if paused { "pause schedule" } else { "resume schedule" }, agent)
    }

    fn health(&self) -> BoxFuture<'_, Health> {
        let down = *self.down.lock().unwrap();
        let status = if down { HealthStatus::Down } else { HealthStatus::Ok };
        Box::pin(async move { Health { status, ready: !down, components: vec![] } })
    }
}

/// Slack as it is called when nothing is set: at an address that no test may reach.
pub(crate) fn web() -> Arc<SlackWeb> {
    Arc::new(SlackWeb::new(WebOptions { response_hosts: vec![], ..WebOptions::default() }).unwrap())
}

/// A whole router over fakes.
pub(crate) struct House {
    pub(crate) operator: Arc<FakeOperator>,
    pub(crate) state: Arc<FakeState>,
    pub(crate) closing: CancellationToken,
    pub(crate) router: Router,
}

impl House {
    /// Slack configured, no API token.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Doors)) -> Self {
        let operator = Arc::new(FakeOperator::new());
        let state = Arc::new(FakeState::default());
        let closing = CancellationToken::new();
        let mut doors = Doors {
            operator: operator.clone(),
            state: state.clone(),
            table: operator.table.clone(),
            bus: Arc::new(FakeBus),
            clock: Arc::new(StoppedClock),
            slack: SlackDoor::new([SECRET.into()], SlackRules::default(), web()),
            token: None,
            version: "0.1.0",
            closing: closing.clone(),
        };
        change(&mut doors);
        Self { operator, state, closing, router: router(doors) }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("host", "localhost:8080").body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        let request = Request::post(path).header("host", "localhost:8080").header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// A request as Slack signs it.
    pub(crate) async fn slack(&self, media: &str, body: &str) -> Answer {
        self.send(signed("/slack/events", media, body).body(Body::from(body.to_owned())).unwrap()).await
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem with everything that one has, and gives it back.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:greenroom:problem:{code}"));
        for field in ["title", "detail", "instance"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is missing: {body}");
        }
        let trace_id = body["trace_id"].as_str().unwrap();
        assert!(trace_id.parse::<TraceId>().is_ok());
        assert_eq!(self.header("x-trace-id"), trace_id);
        body
    }
}

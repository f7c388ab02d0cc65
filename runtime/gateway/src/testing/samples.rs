//! What the fakes show: an agent, an execution, a schedule.

use greenroom_contract::{
    AgentId, NodeId,
    event::Priority,
    execution::Execution,
    id::{EventId, ExecutionId},
    port::operator::{AgentView, ScheduleView},
    status::{AgentStatus, ExecutionStatus},
};
use jiff::Timestamp;
use serde_json::json;

use super::NOW;

pub(crate) fn agent(name: &str, status: AgentStatus) -> AgentView {
    AgentView {
        name: name.parse().unwrap(),
        agent_type: "support".into(),
        execution_mode: "autonomous".into(),
        description: None,
        status,
        reason: None,
        node: NodeId::new("n1"),
        restarts: 0,
        version: "v1".into(),
        file: "config/agents/a.yaml".into(),
        model: "scripted/echo".into(),
        tools: vec![],
        degraded: vec![],
        subscriptions: vec![],
        schedule: None,
        instances: 1,
        running: 0,
        passivated: false,
        ping: Default::default(),
    }
}

pub(crate) fn execution(status: ExecutionStatus) -> Execution {
    let agent: AgentId = "customer-support".parse().unwrap();
    let event_id = EventId::derived(&["test"]);
    Execution {
        id: ExecutionId::of(&agent, event_id),
        agent,
        event_id,
        event_type: "agent.input.customer-support".into(),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap(),
        status,
        attempt: 1,
        epoch: 1,
        crashes: 0,
        node: None,
        priority: Priority::Normal,
        source: "http".into(),
        input: json!("hi"),
        output: status.is_final().then(|| json!("hello")),
        error: None,
        cost: None,
        saved: None,
        created_at: Timestamp::from_second(NOW).unwrap(),
        started_at: None,
        finished_at: None,
        available_at: None,
        steps: None,
    }
}

pub(super) fn schedule() -> ScheduleView {
    ScheduleView {
        agent: "researcher".parse().unwrap(),
        schedule: "0 9 * * * (UTC)".into(),
        timezone: "UTC".into(),
        missed: "once".into(),
        overlap: "skip".into(),
        paused: false,
        paused_since: None,
        next: vec![Timestamp::from_second(NOW).unwrap()],
        waiting: 0,
        last: None,
    }
}

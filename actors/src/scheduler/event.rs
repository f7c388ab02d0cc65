//! What is said when a schedule fires.

use greenroom_config::AgentSpec;
use greenroom_contract::{AgentId, Event, EventId, TraceId, clock::to_millis, port::bus::SCHEDULED_TASKS};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

/// The source of events that schedules make.
pub(crate) const SOURCE: &str = "scheduler";

/// The id of the event of a firing: always the same for one agent and time, so that it runs once even if two should be made.
pub(super) fn id_of(agent: &AgentId, due_at: Timestamp) -> EventId {
    EventId::derived(&["schedule", agent.as_str(), &to_millis(due_at).to_string()])
}

/// The event of a firing.
pub(crate) fn event_of(spec: &AgentSpec, due_at: Timestamp, stands_for: u32, trace_id: TraceId) -> Event {
    let mut payload =
        json!({ "agent_id": spec.name, "scheduled_at": due_at, "input": input(spec, due_at, stands_for) });
    if let Some(payload) = payload.as_object_mut().filter(|_| stands_for > 1) {
        payload.insert("stands_for".to_owned(), stands_for.into());
    }
    let mut event = Event::new(SCHEDULED_TASKS, SOURCE, trace_id, payload);
    event.event_id = id_of(&spec.name, due_at);
    event
}

/// What the agent is asked: what its schedule says, or that it is time.
fn input(spec: &AgentSpec, due_at: Timestamp, stands_for: u32) -> String {
    let schedule = spec.schedule.as_ref();
    if let Some(input) = schedule.and_then(|schedule| schedule.input.clone()) {
        return input;
    }
    let zone = schedule.and_then(|schedule| TimeZone::get(&schedule.timezone).ok()).unwrap_or(TimeZone::UTC);
    let mut text = format!("It is time for your scheduled work, which was due at {:.0}.", due_at.to_zoned(zone));
    if stands_for > 1 {
        text.push_str(&format!(" It stands for {stands_for} times that were missed."));
    }
    text
}

/// The command that a firing becomes: the same event, to its agent. `None` if it names none.
pub(super) fn command(event: &Event) -> Option<(AgentId, Event)> {
    let agent: AgentId = event.payload.get("agent_id").and_then(Value::as_str)?.parse().ok()?;
    let command = Event { event_type: agent.input_topic(), ..event.clone() };
    Some((agent, command))
}

//! Short words.

use greenroom_config::spec::Schedule;
use greenroom_contract::AgentId;
use jiff::Timestamp;

use crate::scheduler::timetable::Timetable;

pub(super) fn agent(name: &str) -> AgentId {
    name.parse().unwrap()
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A schedule from its YAML, in JSON.
pub(super) fn schedule(json: serde_json::Value) -> Schedule {
    serde_json::from_value(json).unwrap()
}

pub(super) fn cron(expression: &str, zone: &str) -> Timetable {
    let schedule = schedule(serde_json::json!({ "cron": expression, "timezone": zone }));
    Timetable::new(&agent("a"), &schedule).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

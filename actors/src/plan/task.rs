//! What a coordinator is asked.

use greenroom_contract::{Event, plan::Task};
use serde_json::Value;

use crate::execution::{Trouble, question};

/// The task of an event: an input that is an object with a `task` is one as it stands; of anything else its text is.
pub(super) fn task_of(event: &Event) -> Result<Task, Trouble> {
    let read = task_of_payload(&event.payload);
    read.map(|task| if task.task.is_empty() { Task { task: question(event), ..task } } else { task })
        .map_err(|why| Trouble::lasting("task_invalid", format!("the task cannot be read: {why}")))
}

/// The task that a payload holds; without text where it holds none.
pub(crate) fn task_of_payload(payload: &Value) -> Result<Task, serde_json::Error> {
    let input = payload.get("input").unwrap_or(payload);
    // An input that is a text may hold the object: command lines and Slack have only texts.
    let written = match input {
        Value::Object(fields) if fields.contains_key("task") => Some(input.clone()),
        Value::String(text) if text.trim_start().starts_with('{') => {
            serde_json::from_str::<Value>(text).ok().filter(|held| held.get("task").is_some())
        }
        _ => None,
    };
    match (written, input) {
        (Some(written), _) => serde_json::from_value(written),
        (None, Value::String(text)) => Ok(Task { task: text.clone(), ..Task::default() }),
        (None, _) => Ok(Task::default()),
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::TraceId;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_an_object_or_a_text() {
        let read = |payload| task_of(&Event::new("demo.topic", "test", TraceId::new(), payload));
        assert_eq!(read(json!({ "input": "Write" })).unwrap().task, "Write");
        assert_eq!(read(json!({ "text": "from Slack" })).unwrap().task, "from Slack");
        let whole = json!({ "task": "Write", "inputs": { "topic": "actors" } });
        for input in [whole.clone(), json!(whole.to_string())] {
            let task = read(json!({ "input": input })).unwrap();
            assert_eq!((task.task.as_str(), task.inputs.len()), ("Write", 1));
        }
        assert_eq!(read(json!({ "task": "Write" })).unwrap().task, "Write");
        assert!(read(json!({ "input": { "task": "Write", "steps": [] } })).is_err());
    }
}

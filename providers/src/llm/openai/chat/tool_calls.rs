//! Tool calls, put together from pieces.

use std::collections::HashSet;

use greenroom_contract::port::llm::ToolUse;
use serde::Deserialize;
use serde_json::Value;

use crate::llm::{
    openai::arguments::{object, stable_id},
    wire::lenient,
};

/// A piece of a call.
#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    #[serde(default, deserialize_with = "lenient")]
    index: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    function: Option<Function>,
}

/// The function's part of a piece.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Function {
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    /// A piece of JSON text; some servers send the object itself.
    #[serde(default)]
    arguments: Value,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
}

/// The calls so far, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(Vec<Call>);

impl ToolCalls {
    /// Whether none has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a piece to the call that it belongs to.
    pub(super) fn add(&mut self, delta: Delta) {
        let id = delta.id.unwrap_or_default();
        let function = delta.function.unwrap_or_default();
        let at = match self.place(delta.index, &id, function.name.is_some()) {
            Some(at) => at,
            None => {
                self.0.push(Call { index: delta.index, ..Call::default() });
                self.0.len() - 1
            }
        };
        let call = &mut self.0[at];
        if call.id.is_empty() {
            call.id = id;
        }
        call.add(function);
    }

    /// Adds a piece of the one call of the old form.
    pub(super) fn add_function(&mut self, function: Function) {
        self.add(Delta { index: Some(0), id: None, function: Some(function) });
    }

    /// Where a piece belongs; `None` begins a new call. By its index; but a server that numbers all its calls 0 shows
    /// by another id that it means another one, and one that numbers none by an id or by naming the function again.
    fn place(&self, index: Option<u64>, id: &str, named: bool) -> Option<usize> {
        let same_id = |call: &Call| id.is_empty() || call.id.is_empty() || call.id == id;
        match index {
            Some(_) => self.0.iter().rposition(|call| call.index == index && same_id(call)),
            None if !id.is_empty() => self.0.iter().rposition(|call| call.id == id),
            None if named => None,
            None => self.0.len().checked_sub(1),
        }
    }

    /// The calls, complete. Fails with the reason when one has no name or its arguments are no JSON object.
    pub(super) fn finish(self, key: &str) -> Result<Vec<ToolUse>, String> {
        let mut ids = HashSet::new();
        let mut asks = Vec::with_capacity(self.0.len());
        for (position, call) in self.0.into_iter().enumerate() {
            if call.name.is_empty() {
                return Err("the model asked for a tool without naming it".to_owned());
            }
            let Some(input) = object(&call.arguments) else {
                return Err(format!(
                    "the model asked for the tool {:?} with arguments that are no JSON object",
                    call.name
                ));
            };
            // An answer is matched to its call by the id, so every call has one, and its own.
            let id = if call.id.is_empty() || ids.contains(&call.id) { stable_id(key, position) } else { call.id };
            ids.insert(id.clone());
            asks.push(ToolUse { id, name: call.name, input: Value::Object(input) });
        }
        Ok(asks)
    }
}

impl Call {
    fn add(&mut self, function: Function) {
        // A name comes once; a server that repeats it in every piece means the same one.
        if self.name.is_empty() {
            self.name = function.name.unwrap_or_default();
        }
        match function.arguments {
            Value::String(piece) => self.arguments.push_str(&piece),
            Value::Null => {}
            whole => self.arguments = whole.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn calls(deltas: &[Value]) -> Result<Vec<ToolUse>, String> {
        let mut calls = ToolCalls::default();
        for delta in deltas {
            calls.add(serde_json::from_value(delta.clone()).unwrap());
        }
        calls.finish("key")
    }

    fn inputs(deltas: &[Value]) -> Vec<(String, Value)> {
        calls(deltas).unwrap().into_iter().map(|ask| (ask.name, ask.input)).collect()
    }

    #[test]
    fn pieces_find_their_call_by_index() {
        let made = inputs(&[
            json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "" } }),
            json!({ "index": 1, "id": "b", "function": { "name": "g", "arguments": "{\"y\"" } }),
            json!({ "index": 0, "function": { "arguments": "{\"x\":1}" } }),
            json!({ "index": 1, "id": "", "function": { "name": null, "arguments": ":2}" } }),
        ]);
        assert_eq!(made, [("f".to_owned(), json!({ "x": 1 })), ("g".to_owned(), json!({ "y": 2 }))]);
    }

    #[test]
    fn servers_that_number_badly_are_understood() {
        let all_zero = inputs(&[
            json!({ "index": 0, "id": "a", "function": { "name": "f", "arguments": "{\"x\":1}" } }),
            json!({ "index": 0, "id": "b", "function": { "name": "f", "arguments": "{\"x\":2}" } }),
        ]);
        assert_eq!(all_zero, [("f".to_owned(), json!({ "x": 1 })), ("f".to_owned(), json!({ "x": 2 }))]);
        let none = inputs(&[
            json!({ "function": { "name": "f", "arguments": { "x": 1 } } }),
            json!({ "function": { "name": "f", "arguments": "{\"x\"" } }),
            json!({ "function": { "arguments": ":2}" } }),
        ]);
        assert_eq!(none, [("f".to_owned(), json!({ "x": 1 })), ("f".to_owned(), json!({ "x": 2 }))]);
    }

    #[test]
    fn every_call_has_its_own_id_and_the_same_one_again() {
        let deltas = [
            json!({ "index": 0, "function": { "name": "f" } }),
            json!({ "index": 1, "id": "x", "function": { "name": "f" } }),
            json!({ "index": 2, "id": "x", "function": { "name": "f" } }),
        ];
        let made = calls(&deltas).unwrap();
        let ids: HashSet<&str> = made.iter().map(|ask| ask.id.as_str()).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(made, calls(&deltas).unwrap());
    }

    #[test]
    fn arguments_are_an_object_or_no_call() {
        let with =
            |arguments: Value| calls(&[json!({ "index": 0, "function": { "name": "f", "arguments": arguments } })]);
        for empty in [json!(null), json!(""), json!("null"), json!({})] {
            assert_eq!(with(empty).unwrap()[0].input, json!({}));
        }
        assert_eq!(with(json!("\"{\\\"x\\\":1}\"")).unwrap()[0].input, json!({ "x": 1 }));
        for broken in [json!("{\"x\":"), json!("[1]"), json!("7"), json!([1])] {
            assert!(with(broken).is_err());
        }
        assert!(calls(&[json!({ "index": 0, "function": { "arguments": "{}" } })]).is_err());
    }
}

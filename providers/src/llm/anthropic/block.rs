//! The blocks of an answer, put together from their pieces.

use std::collections::BTreeMap;

use greenroom_contract::port::llm::{Part, ToolUse};
use serde_json::{Map, Value};

use super::model::PROVIDER;

/// A block so far.
#[derive(Debug)]
enum Block {
    Text(String),
    Tool {
        id: String,
        name: String,
        arguments: String,
    },
    /// Thinking and whatever else goes back unchanged. A kind that this build does not know cannot be put together from
    /// its pieces, and then is not sent back.
    Own {
        value: Value,
        whole: bool,
    },
}

/// The blocks so far, by their number.
#[derive(Debug, Default)]
pub(super) struct Blocks(BTreeMap<u64, Block>);

impl Blocks {
    /// Whether none has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A block begins. Returns the text that it begins with.
    pub(super) fn begin(&mut self, index: u64, value: Value) -> String {
        let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let (block, text) = match value["type"].as_str() {
            Some("text") => (Block::Text(word("text")), word("text")),
            Some("tool_use") => {
                // The whole arguments where the answer is not streamed, an empty object where it is.
                let given = value["input"].as_object().filter(|input| !input.is_empty());
                let arguments = given.map(|_| value["input"].to_string()).unwrap_or_default();
                (Block::Tool { id: word("id"), name: word("name"), arguments }, String::new())
            }
            _ => (Block::Own { value, whole: true }, String::new()),
        };
        self.0.insert(index, block);
        text
    }

    /// More of a block. Returns the new text.
    pub(super) fn add(&mut self, index: u64, delta: &Value) -> String {
        let piece = |name: &str| delta[name].as_str().unwrap_or_default();
        let kind = delta["type"].as_str().unwrap_or_default();
        // Some gateways leave the beginning of a text out.
        if kind == "text_delta" {
            self.0.entry(index).or_insert_with(|| Block::Text(String::new()));
        }
        match (self.0.get_mut(&index), kind) {
            (Some(Block::Text(text)), "text_delta") => {
                text.push_str(piece("text"));
                return piece("text").to_owned();
            }
            (Some(Block::Tool { arguments, .. }), "input_json_delta") => arguments.push_str(piece("partial_json")),
            (Some(Block::Own { value, .. }), "thinking_delta") => append(value, "thinking", piece("thinking")),
            (Some(Block::Own { value, .. }), "signature_delta") => append(value, "signature", piece("signature")),
            (Some(Block::Own { whole, .. }), _) => *whole = false,
            _ => {}
        }
        String::new()
    }

    /// The parts, in order. With `cut` the answer had no more room: the calls may be cut, and are left out. Fails with
    /// the reason when a call's arguments are no JSON object.
    pub(super) fn finish(self, cut: bool) -> Result<Vec<Part>, String> {
        let mut parts = Vec::with_capacity(self.0.len());
        for block in self.0.into_values() {
            match block {
                Block::Text(text) if text.is_empty() => {}
                Block::Text(text) => parts.push(Part::Text { text }),
                Block::Tool { .. } if cut => {}
                Block::Tool { name, .. } if name.is_empty() => {
                    return Err("the model asked for a tool without naming it".to_owned());
                }
                Block::Tool { id, name, arguments } => {
                    let Some(input) = object(&arguments) else {
                        return Err(format!(
                            "the model asked for the tool {name:?} with arguments that are no JSON object"
                        ));
                    };
                    parts.push(Part::ToolUse(ToolUse { id, name, input: Value::Object(input) }));
                }
                Block::Own { value, whole: true } => parts.push(Part::Opaque { provider: PROVIDER.to_owned(), value }),
                Block::Own { whole: false, .. } => {}
            }
        }
        Ok(parts)
    }
}

fn append(value: &mut Value, field: &str, piece: &str) {
    match value.get_mut(field) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => value[field] = piece.into(),
    }
}

fn object(arguments: &str) -> Option<Map<String, Value>> {
    match arguments.trim() {
        "" => Some(Map::new()),
        text => serde_json::from_str(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_block_of_a_new_kind_goes_back_if_it_came_whole() {
        let mut blocks = Blocks::default();
        blocks.begin(0, json!({ "type": "redacted_thinking", "data": "Zm9v" }));
        blocks.begin(1, json!({ "type": "server_tool_use", "name": "web_search", "input": {} }));
        blocks.add(1, &json!({ "type": "input_json_delta", "partial_json": "{}" }));
        let expected = json!({ "type": "redacted_thinking", "data": "Zm9v" });
        let parts = blocks.finish(false).unwrap();
        assert_eq!(parts, [Part::Opaque { provider: PROVIDER.to_owned(), value: expected }]);
    }

    #[test]
    fn a_call_whose_arguments_are_no_object_is_no_call() {
        for broken in ["{\"at\":", "[1]", "7"] {
            let mut blocks = Blocks::default();
            blocks.begin(0, json!({ "type": "tool_use", "id": "t", "name": "look", "input": {} }));
            blocks.add(0, &json!({ "type": "input_json_delta", "partial_json": broken }));
            assert!(blocks.finish(false).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_text_without_its_beginning_is_text() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.add(0, &json!({ "type": "text_delta", "text": "Hi" })), "Hi");
        assert_eq!(blocks.finish(false).unwrap(), [Part::Text { text: "Hi".to_owned() }]);
    }
}

//! How large a request is, in bytes of text: no tokenizer makes more tokens of it.

use std::io::{self, Write};

use greenroom_contract::port::llm::{Message, Part, Request};
use serde_json::Value;

/// More than any vendor counts for one picture (the largest known is 4,784 tokens).
const IMAGE: u64 = 5000;
/// What a turn, a piece of it or a tool adds by itself: its role and its marks.
const FRAME: u64 = 32;

/// Of a whole request.
pub(super) fn of_request(request: &Request) -> u64 {
    beside_turns(request) + request.messages.iter().map(of_turn).sum::<u64>()
}

/// Of what is sent beside the conversation: prompt, tools, form.
pub(super) fn beside_turns(request: &Request) -> u64 {
    let system = request.system.as_ref().map_or(0, String::len) as u64;
    let tools = request
        .tools
        .iter()
        .map(|tool| FRAME + (tool.name.len() + tool.description.len()) as u64 + json(&tool.input_schema));
    let form = request.output.as_ref().map_or(0, |form| json(&form.schema));
    system + tools.sum::<u64>() + form + FRAME
}

/// Of one turn.
pub(super) fn of_turn(turn: &Message) -> u64 {
    FRAME + turn.parts.iter().map(of_part).sum::<u64>()
}

/// Of a piece of a turn.
pub(super) fn of_part(part: &Part) -> u64 {
    FRAME
        + match part {
            Part::Text { text } => text.len() as u64,
            Part::ToolUse(ask) => ask.name.len() as u64 + json(&ask.input),
            Part::ToolResult { content, images, .. } => content.len() as u64 + IMAGE * images.len() as u64,
            Part::Image(_) => IMAGE,
            Part::Opaque { value, .. } => json(value),
        }
}

/// Counted, not written: schemas are long, and this is asked before each call.
fn json(value: &Value) -> u64 {
    let mut count = Count(0);
    // A value has string keys only, and counting cannot fail.
    serde_json::to_writer(&mut count, value).map_or(0, |()| count.0)
}

struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

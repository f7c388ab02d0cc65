//! What the provider is asked to remember, and where the marks stand: after the system prompt (else the tools), and at
//! the end of the conversation. A mark is a block of its own.

use serde_json::{Value, json};

/// Sets the marks.
pub(super) fn mark(time: Option<&str>, system: &mut Vec<Value>, tools: &mut Vec<Value>, messages: &mut [Value]) {
    let Some(time) = time else { return };
    let mark = json!({ "cachePoint": { "type": "default", "ttl": time } });
    if !system.is_empty() {
        system.push(mark.clone());
    } else if !tools.is_empty() {
        tools.push(mark.clone());
    }
    if let Some(content) = messages.last_mut().and_then(|message| message.get_mut("content")?.as_array_mut()) {
        content.push(mark);
    }
}

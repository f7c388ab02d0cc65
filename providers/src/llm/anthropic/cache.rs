//! What the provider is asked to remember, and where the marks stand.
//!
//! A mark says "remember everything up to here": tools come first, then the system prompt, then the turns. One mark
//! stands after what is the same for every event (tools and system prompt), one at the end, where the next step of this
//! conversation goes on. A beginning that is too short for the model is not remembered and costs nothing extra.

use serde_json::{Value, json};

/// Sets the marks.
pub(super) fn mark(time: Option<&str>, system: &mut [Value], tools: &mut [Value], messages: &mut [Value]) {
    let Some(time) = time else { return };
    let mark = json!({ "type": "ephemeral", "ttl": time });
    if let Some(last) = system.last_mut().or(tools.last_mut()) {
        last["cache_control"] = mark.clone();
    }
    let content = messages.last_mut().and_then(|message| message.get_mut("content")?.as_array_mut());
    // A signed block may not be changed, and a turn of the model is never the last in our loop.
    if let Some(last) = content.and_then(|content| content.last_mut())
        && last["type"] != "thinking"
        && last["type"] != "redacted_thinking"
    {
        last["cache_control"] = mark;
    }
}

//! The conversation.
//!
//! The API refuses empty text, wants tools' answers to stand first in the turn that follows their calls, and takes its own
//! signed blocks back unchanged.

use greenroom_contract::port::llm::{Image, Message, Part, Role};
use serde_json::{Value, json};

use super::model::PROVIDER;

/// What stands for a turn of the user that has nothing in it.
const NOTHING: &str = "(nothing)";
/// What stands for a picture that the model cannot see.
const UNSEEN: &str = "(a picture that this model cannot take)";

/// The turns. A turn of the model that has nothing of this provider in it is left out: turns of one side may follow
/// each other.
pub(super) fn messages(messages: &[Message], vision: bool) -> Vec<Value> {
    messages.iter().filter_map(|message| turn(message, vision)).collect()
}

fn turn(message: &Message, vision: bool) -> Option<Value> {
    match message.role {
        Role::User => {
            let (results, said): (Vec<&Part>, Vec<&Part>) =
                message.parts.iter().partition(|part| matches!(part, Part::ToolResult { .. }));
            let mut content: Vec<Value> =
                results.into_iter().chain(said).filter_map(|part| heard(part, vision)).collect();
            if content.is_empty() {
                content.push(text(NOTHING));
            }
            Some(json!({ "role": "user", "content": content }))
        }
        Role::Assistant => {
            let content: Vec<Value> = message.parts.iter().filter_map(said).collect();
            (!content.is_empty()).then(|| json!({ "role": "assistant", "content": content }))
        }
    }
}

/// A part of a user's turn.
fn heard(part: &Part, vision: bool) -> Option<Value> {
    match part {
        Part::Text { text: said } => (!said.trim().is_empty()).then(|| text(said)),
        Part::Image(image) => Some(picture(image, vision)),
        Part::ToolResult { id, content, is_error, images } => {
            let said = (!content.trim().is_empty()).then(|| text(content));
            let inner: Vec<Value> = said.into_iter().chain(images.iter().map(|image| picture(image, vision))).collect();
            let mut result = json!({ "type": "tool_result", "tool_use_id": plain(id), "content": inner });
            if *is_error {
                result["is_error"] = true.into();
            }
            Some(result)
        }
        Part::ToolUse(_) | Part::Opaque { .. } => None,
    }
}

/// A part of the model's turn.
fn said(part: &Part) -> Option<Value> {
    match part {
        Part::Text { text: said } => (!said.trim().is_empty()).then(|| text(said)),
        Part::ToolUse(ask) => {
            Some(json!({ "type": "tool_use", "id": plain(&ask.id), "name": ask.name, "input": ask.input }))
        }
        Part::Opaque { provider, value } => (provider == PROVIDER).then(|| value.clone()),
        Part::ToolResult { .. } | Part::Image(_) => None,
    }
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn picture(image: &Image, vision: bool) -> Value {
    if !vision {
        return text(UNSEEN);
    }
    let source = json!({ "type": "base64", "media_type": image.media_type, "data": image.data });
    json!({ "type": "image", "source": source })
}

/// An id in the letters that the API takes; another provider of a fallback chain may have made it of others.
fn plain(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

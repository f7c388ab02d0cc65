//! The conversation.
//!
//! Converse refuses empty text, two turns of one side in a row, and calls of tools in a request that offers none; it wants
//! tools' answers to stand first in the turn that follows their calls.

use greenroom_contract::port::llm::{Image, Message, Part, Request, Role};
use serde_json::{Value, json};

use super::model::PROVIDER;

/// What stands where there must be something and there is nothing.
const NOTHING: &str = "(nothing)";
/// What stands for a picture that the model cannot see.
const UNSEEN: &str = "(a picture that this model cannot take)";

/// The turns, the neighbours of one side made one.
pub(super) fn messages(request: &Request, vision: bool) -> Vec<Value> {
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let content = content(message, vision, !request.tools.is_empty());
        match turns.last_mut() {
            Some((role, before)) if *role == message.role => before.extend(content),
            _ => turns.push((message.role, content)),
        }
    }
    let turn = |(role, mut content): (Role, Vec<Value>)| {
        if content.is_empty() {
            content.push(text(NOTHING));
        }
        // Answers first; a stable sort leaves the rest in its order.
        content.sort_by_key(|block| block.get("toolResult").is_none());
        json!({ "role": if role == Role::User { "user" } else { "assistant" }, "content": content })
    };
    turns.into_iter().map(turn).collect()
}

fn content(message: &Message, vision: bool, tools: bool) -> Vec<Value> {
    message.parts.iter().filter_map(|part| block(part, message.role, vision, tools)).collect()
}

fn block(part: &Part, role: Role, vision: bool, tools: bool) -> Option<Value> {
    Some(match (part, role) {
        (Part::Text { text: said }, _) => {
            if said.trim().is_empty() {
                return None;
            }
            text(said)
        }
        (Part::ToolUse(ask), Role::Assistant) if tools => {
            json!({ "toolUse": { "toolUseId": plain(&ask.id), "name": ask.name, "input": ask.input } })
        }
        (Part::ToolUse(ask), Role::Assistant) => text(&format!("(I called {} with {})", ask.name, ask.input)),
        (Part::ToolResult { id, content, is_error, images }, Role::User) if tools => {
            let said = if content.trim().is_empty() && images.is_empty() { NOTHING } else { content };
            let said = (!said.trim().is_empty()).then(|| text(said));
            let inner: Vec<Value> = said.into_iter().chain(images.iter().map(|image| picture(image, vision))).collect();
            let status = if *is_error { "error" } else { "success" };
            json!({ "toolResult": { "toolUseId": plain(id), "content": inner, "status": status } })
        }
        (Part::ToolResult { content, .. }, Role::User) => text(&format!("(a tool answered: {content})")),
        (Part::Image(image), Role::User) => picture(image, vision),
        (Part::Opaque { provider, value }, Role::Assistant) if provider == PROVIDER => value.clone(),
        _ => return None,
    })
}

fn text(text: &str) -> Value {
    json!({ "text": text })
}

fn picture(image: &Image, vision: bool) -> Value {
    let format = match image.media_type.as_str() {
        "image/png" => "png",
        "image/jpeg" | "image/jpg" => "jpeg",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => return text(UNSEEN),
    };
    match vision {
        true => json!({ "image": { "format": format, "source": { "bytes": image.data } } }),
        false => text(UNSEEN),
    }
}

/// An id in the letters that Converse takes; another provider of a fallback chain may have made it of others.
fn plain(id: &str) -> String {
    let id = id.chars().take(64);
    id.map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

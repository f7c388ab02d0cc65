//! The conversation as chat completions' messages.

use greenroom_contract::port::llm::{Image, Part, Request, Role};
use serde_json::{Value, json};

/// The conversation, in order.
pub(super) fn messages(request: &Request) -> Value {
    let system = request.system.iter().map(|text| json!({ "role": "system", "content": text }));
    let turns = request.messages.iter().flat_map(|message| match message.role {
        Role::User => user(&message.parts),
        Role::Assistant => vec![assistant(&message.parts)],
    });
    system.chain(turns).collect()
}

/// One turn becomes one message, or several: each tool's answer is its own, and stands before what the person says,
/// because the answers must follow the question for them at once.
fn user(parts: &[Part]) -> Vec<Value> {
    let mut messages = Vec::new();
    // A tool's message takes text only: its pictures follow as the person's.
    let mut said = Vec::new();
    for part in parts {
        let Part::ToolResult { id, content, is_error, images } = part else { continue };
        let content = if *is_error { format!("Error: {content}") } else { content.clone() };
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": content }));
        if !images.is_empty() {
            said.push(text_block(&format!("The pictures of the tool's answer {id}:")));
            said.extend(images.iter().map(image_block));
        }
    }
    let has_images = !said.is_empty() || parts.iter().any(|part| matches!(part, Part::Image(_)));
    if has_images {
        said.extend(parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text_block(text)),
            Part::Image(image) => Some(image_block(image)),
            _ => None,
        }));
        messages.push(json!({ "role": "user", "content": said }));
        return messages;
    }
    // Not every server takes a list where there is only text.
    let text = text(parts);
    if !text.is_empty() || messages.is_empty() {
        messages.push(json!({ "role": "user", "content": text }));
    }
    messages
}

fn assistant(parts: &[Part]) -> Value {
    let text = text(parts);
    let calls: Vec<Value> = parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolUse(ask) => Some(json!({
                "id": ask.id, "type": "function",
                "function": { "name": ask.name, "arguments": ask.input.to_string() }
            })),
            _ => None,
        })
        .collect();
    if calls.is_empty() {
        return json!({ "role": "assistant", "content": text });
    }
    let content = if text.is_empty() { Value::Null } else { text.into() };
    json!({ "role": "assistant", "content": content, "tool_calls": calls })
}

fn text(parts: &[Part]) -> String {
    parts.iter().filter_map(|part| if let Part::Text { text } = part { Some(text.as_str()) } else { None }).collect()
}

fn text_block(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn image_block(Image { media_type, data }: &Image) -> Value {
    json!({ "type": "image_url", "image_url": { "url": format!("data:{media_type};base64,{data}") } })
}

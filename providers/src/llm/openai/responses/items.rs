//! The conversation as the API's items.

use greenroom_contract::port::llm::{Image, Message, Part, Role};
use serde_json::{Value, json};

use crate::llm::openai::Options;

/// The conversation, in order.
pub(super) fn items(options: &Options, messages: &[Message]) -> Value {
    messages
        .iter()
        .flat_map(|message| match message.role {
            Role::User => user(&message.parts),
            Role::Assistant => assistant(options, &message.parts),
        })
        .collect()
}

/// What is the model's own and only for it: a reasoning item, or the phase of the text that follows. It is handed back
/// to the model that it came from and to no other, which could not read it.
pub(super) fn keep(options: &Options, value: Value) -> Part {
    let value = json!({ "model": options.model, "kept": value });
    Part::Opaque { provider: options.dialect.provider().to_owned(), value }
}

fn kept<'a>(options: &Options, provider: &str, value: &'a Value) -> Option<&'a Value> {
    let ours = provider == options.dialect.provider() && value["model"] == options.model.as_str();
    value.get("kept").filter(|_| ours)
}

/// The tools' answers come first: they must follow the question for them at once.
fn user(parts: &[Part]) -> Vec<Value> {
    let mut items: Vec<Value> = parts.iter().filter_map(tool_answer).collect();
    let content: Vec<Value> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Text { text } => Some(text_block(text)),
            Part::Image(image) => Some(image_block(image)),
            _ => None,
        })
        .collect();
    if !content.is_empty() || items.is_empty() {
        items.push(json!({ "type": "message", "role": "user", "content": content }));
    }
    items
}

fn tool_answer(part: &Part) -> Option<Value> {
    let Part::ToolResult { id, content, is_error, images } = part else { return None };
    let text = if *is_error { format!("Error: {content}") } else { content.clone() };
    let output = match images.is_empty() {
        true => Value::String(text),
        false => std::iter::once(text_block(&text)).chain(images.iter().map(image_block)).collect(),
    };
    Some(json!({ "type": "function_call_output", "call_id": id, "output": output }))
}

fn assistant(options: &Options, parts: &[Part]) -> Vec<Value> {
    let mut items = Vec::with_capacity(parts.len());
    let mut phase = None;
    for part in parts {
        match part {
            Part::Text { text } => {
                let mut item = json!({ "type": "message", "role": "assistant", "content": text });
                if let Some(phase) = phase.take() {
                    item["phase"] = phase;
                }
                items.push(item);
            }
            Part::ToolUse(ask) => items.push(json!({
                "type": "function_call", "call_id": ask.id, "name": ask.name, "arguments": ask.input.to_string()
            })),
            Part::Opaque { provider, value } => match kept(options, provider, value) {
                Some(kept) if kept.get("type").is_some() => items.push(kept.clone()),
                Some(kept) => phase = kept.get("phase").cloned(),
                None => {}
            },
            Part::Image(_) | Part::ToolResult { .. } => {}
        }
    }
    items
}

fn text_block(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

fn image_block(image: &Image) -> Value {
    let url = format!("data:{};base64,{}", image.media_type, image.data);
    json!({ "type": "input_image", "detail": "auto", "image_url": url })
}

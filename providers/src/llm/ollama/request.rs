//! A question as Ollama's JSON.

use std::collections::HashMap;

use greenroom_contract::port::{
    llm::{Effort, Message, Part, Request, Role},
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use super::{Options, model::PROVIDER};

/// The body of a request. What does not fit into the context is to be refused, not cut without a word.
pub(super) fn body(options: &Options, request: &Request) -> Value {
    let mut body = json!({
        "model": options.model, "messages": messages(request), "stream": true, "truncate": false,
        "options": sampling(options, request),
    });
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    if let Some(think) = request.effort.map(think) {
        body["think"] = think;
    }
    if let Some(form) = &request.output {
        body["format"] = form.schema.clone();
    }
    if let Some(keep) = options.own.and_then(|own| own.keep_alive) {
        body["keep_alive"] = format!("{}ms", keep.0.as_millis()).into();
    }
    body
}

fn sampling(options: &Options, request: &Request) -> Value {
    let mut sampling = Map::new();
    sampling.insert("num_predict".to_owned(), request.max_tokens.into());
    if let Some(temperature) = request.temperature {
        // Through its decimal form, so that 0.7 is not sent as 0.699999988079071.
        let decimal: f64 = temperature.to_string().parse().unwrap_or_else(|_| temperature.into());
        sampling.insert("temperature".to_owned(), decimal.into());
    }
    if let Some(room) = options.own.and_then(|own| own.num_ctx) {
        sampling.insert("num_ctx".to_owned(), room.into());
    }
    Value::Object(sampling)
}

/// Models that know no levels take any of them as yes.
fn think(effort: Effort) -> Value {
    match effort {
        Effort::None => false.into(),
        Effort::Low => "low".into(),
        Effort::Medium => "medium".into(),
        Effort::High => "high".into(),
        Effort::Xhigh | Effort::Max => "max".into(),
    }
}

fn messages(request: &Request) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::with_capacity(request.messages.len() + 1);
    messages.extend(request.system.iter().map(|text| json!({ "role": "system", "content": text })));
    // A tool's answer names its tool, and the conversation knows only the call's id.
    let mut names: HashMap<&str, &str> = HashMap::new();
    for message in &request.messages {
        match message.role {
            Role::User => user(&message.parts, &names, &mut messages),
            Role::Assistant => {
                let asked = message.parts.iter().filter_map(tool_use);
                names.extend(asked.map(|ask| (ask.id.as_str(), ask.name.as_str())));
                messages.push(assistant(message));
            }
        }
    }
    messages
}

/// Each tool's answer is a message of its own and comes first; its pictures follow as the person's.
fn user(parts: &[Part], names: &HashMap<&str, &str>, messages: &mut Vec<Value>) {
    let before = messages.len();
    let mut images = Vec::new();
    for part in parts {
        match part {
            Part::ToolResult { id, content, is_error, images: shown } => {
                let content = if *is_error { format!("Error: {content}") } else { content.clone() };
                let name = names.get(id.as_str()).copied().unwrap_or_default();
                messages.push(json!({ "role": "tool", "content": content, "tool_name": name, "tool_call_id": id }));
                images.extend(shown.iter().map(|image| image.data.as_str()));
            }
            Part::Image(image) => images.push(&image.data),
            _ => {}
        }
    }
    let text = text(parts);
    if text.is_empty() && images.is_empty() && messages.len() > before {
        return;
    }
    let mut said = json!({ "role": "user", "content": text });
    if !images.is_empty() {
        said["images"] = json!(images);
    }
    messages.push(said);
}

fn assistant(message: &Message) -> Value {
    let mut said = json!({ "role": "assistant", "content": text(&message.parts) });
    let thinking = message.parts.iter().find_map(|part| match part {
        Part::Opaque { provider, value } if provider == PROVIDER => value.get("thinking"),
        _ => None,
    });
    if let Some(thinking) = thinking {
        said["thinking"] = thinking.clone();
    }
    let calls: Vec<Value> = message
        .parts
        .iter()
        .filter_map(tool_use)
        .map(|ask| json!({ "id": ask.id, "function": { "name": ask.name, "arguments": ask.input } }))
        .collect();
    if !calls.is_empty() {
        said["tool_calls"] = calls.into();
    }
    said
}

fn tool_use(part: &Part) -> Option<&greenroom_contract::port::llm::ToolUse> {
    if let Part::ToolUse(ask) = part { Some(ask) } else { None }
}

fn text(parts: &[Part]) -> String {
    parts.iter().filter_map(|part| if let Part::Text { text } = part { Some(text.as_str()) } else { None }).collect()
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": { "name": spec.name, "description": spec.description, "parameters": spec.input_schema }
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use greenroom_config::{HumanDuration, spec::OllamaOptions};
    use greenroom_contract::port::llm::{Image, OutputForm, ToolUse};

    use super::{super::parse_host, *};
    use crate::llm::testing::request;

    fn options(own: Option<OllamaOptions>) -> Options {
        Options {
            base: parse_host(None).unwrap(),
            authorization: None,
            key_name: "OLLAMA_API_KEY".to_owned(),
            model: "llama5".to_owned(),
            own,
            capabilities: Default::default(),
            account: Arc::default(),
        }
    }

    #[test]
    fn what_is_asked_for_is_sent_and_nothing_is_cut() {
        let own = OllamaOptions { num_ctx: Some(8192), keep_alive: Some(HumanDuration(Duration::from_secs(600))) };
        let schema = json!({ "type": "object" });
        let asked = Request {
            temperature: Some(0.7),
            effort: Some(Effort::Xhigh),
            output: Some(OutputForm { name: "a".to_owned(), schema: schema.clone() }),
            ..request("hi")
        };
        let sent = body(&options(Some(own)), &asked);
        assert_eq!(sent["options"], json!({ "num_predict": 100, "temperature": 0.7, "num_ctx": 8192 }));
        assert_eq!((&sent["truncate"], &sent["format"], &sent["think"]), (&json!(false), &schema, &json!("max")));
        assert_eq!(sent["keep_alive"], "600000ms");
        let plain = body(&options(None), &request("hi"));
        assert_eq!((plain.get("think"), plain.get("format"), plain.get("keep_alive")), (None, None, None));
    }

    #[test]
    fn a_conversation_with_thinking_tools_and_pictures_keeps_its_order() {
        let picture = Image { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        let ask = ToolUse { id: "c1".to_owned(), name: "look".to_owned(), input: json!({ "at": "it" }) };
        let thinking = Part::Opaque { provider: PROVIDER.to_owned(), value: json!({ "thinking": "hm" }) };
        let mut request = request("what is it?");
        request.messages.push(Message { role: Role::Assistant, parts: vec![thinking, Part::ToolUse(ask)] });
        let images = vec![picture];
        let result = Part::ToolResult { id: "c1".to_owned(), content: "gone".to_owned(), is_error: true, images };
        request.messages.push(Message { role: Role::User, parts: vec![result] });
        let call = json!({ "id": "c1", "function": { "name": "look", "arguments": { "at": "it" } } });
        let expected = json!([
            { "role": "user", "content": "what is it?" },
            { "role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call] },
            { "role": "tool", "content": "Error: gone", "tool_name": "look", "tool_call_id": "c1" },
            { "role": "user", "content": "", "images": ["AAAA"] },
        ]);
        assert_eq!(body(&options(None), &request)["messages"], expected);
    }
}

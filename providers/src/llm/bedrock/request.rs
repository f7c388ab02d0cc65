//! A question as Converse's JSON.

use greenroom_contract::port::{
    llm::{OutputForm, Request},
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use super::{cache, model::Options, turns};
use crate::{
    llm::{form, prompt_cache, thought::thought},
    pricing::Sampling,
};

/// The body of a question.
pub(super) fn body(options: &Options, request: &Request) -> Value {
    let mut body = countable(options, request);
    let room = options.capabilities.max_output.unwrap_or(u32::MAX);
    let mut inference = Map::new();
    inference.insert("maxTokens".to_owned(), request.max_tokens.min(room).into());
    if let Some(temperature) = request.temperature.filter(|_| options.capabilities.sampling == Sampling::Taken) {
        let decimal: f64 = temperature.to_string().parse().unwrap_or_else(|_| temperature.into());
        inference.insert("temperature".to_owned(), decimal.min(1.0).into());
    }
    body.insert("inferenceConfig".to_owned(), inference.into());
    let (thinking, effort) = thought(options.capabilities.thinking, request.effort);
    if let Some(thinking) = thinking {
        body.insert("additionalModelRequestFields".to_owned(), json!({ "thinking": { "type": thinking } }));
    }
    let mut output = Map::new();
    if let Some(effort) = effort {
        output.insert("effort".to_owned(), effort.into());
    }
    if let Some(form) = native_form(options, request) {
        // The schema is a text here.
        let schema = json!({ "name": form.name, "schema": form.schema.to_string() });
        let format = json!({ "type": "json_schema", "structure": { "jsonSchema": schema } });
        output.insert("textFormat".to_owned(), format);
    }
    if !output.is_empty() {
        body.insert("outputConfig".to_owned(), output.into());
    }
    Value::Object(body)
}

/// The part of it that makes input tokens.
pub(super) fn countable(options: &Options, request: &Request) -> Map<String, Value> {
    let mut body = Map::new();
    let mut system: Vec<Value> =
        request.system.iter().filter(|text| !text.trim().is_empty()).map(|text| json!({ "text": text })).collect();
    if let Some(form) = request.output.as_ref().filter(|_| native_form(options, request).is_none()) {
        system.push(json!({ "text": form::in_words(form) }));
    }
    let mut tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let mut messages = turns::messages(request, options.capabilities.vision);
    if options.capabilities.prompt_cache {
        cache::mark(prompt_cache::time(options.cache, request), &mut system, &mut tools, &mut messages);
    }
    if !system.is_empty() {
        body.insert("system".to_owned(), system.into());
    }
    if !tools.is_empty() {
        // How the model chooses among them is left to it, which is the only way that every family takes.
        body.insert("toolConfig".to_owned(), json!({ "tools": tools }));
    }
    body.insert("messages".to_owned(), messages.into());
    body
}

fn native_form<'a>(options: &Options, request: &'a Request) -> Option<&'a OutputForm> {
    request.output.as_ref().filter(|_| options.capabilities.structured_output)
}

fn tool(spec: &ToolSpec) -> Value {
    let mut schema = spec.input_schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    let mut tool = json!({ "name": spec.name, "inputSchema": { "json": schema } });
    // An empty description is refused.
    if !spec.description.trim().is_empty() {
        tool["description"] = spec.description.as_str().into();
    }
    json!({ "toolSpec": tool })
}

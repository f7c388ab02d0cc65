//! A question as JSON.

use greenroom_config::spec::AnthropicVersion;
use greenroom_contract::port::{llm::Request, tool::ToolSpec};
use serde_json::{Map, Value, json};

use super::{Options, cache, turns};
use crate::{
    llm::{form, prompt_cache, thought::thought},
    pricing::Sampling,
};

/// The body of a question.
pub(super) fn body(options: &Options, request: &Request) -> Value {
    let mut body = countable(options, request);
    let room = options.capabilities.max_output.unwrap_or(u32::MAX);
    body.insert("max_tokens".to_owned(), request.max_tokens.min(room).into());
    body.insert("stream".to_owned(), true.into());
    if let Some(temperature) = request.temperature.filter(|_| takes_sampling(options)) {
        // Through its decimal form, so that 0.7 is not sent as 0.699999988079071.
        let decimal: f64 = temperature.to_string().parse().unwrap_or_else(|_| temperature.into());
        // OpenAI's scale goes to 2, this one to 1.
        body.insert("temperature".to_owned(), decimal.min(1.0).into());
    }
    Value::Object(body)
}

/// The part of it that makes input tokens, which is also the question how many those are.
pub(super) fn countable(options: &Options, request: &Request) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.as_str().into());
    let native_form = options.capabilities.structured_output;
    let asked_form = request.output.as_ref();
    let mut system: Vec<Value> = Vec::new();
    let mut say = |text: String| system.push(json!({ "type": "text", "text": text }));
    request.system.iter().filter(|text| !text.trim().is_empty()).for_each(|text| say(text.clone()));
    asked_form.filter(|_| !native_form).into_iter().for_each(|form| say(form::in_words(form)));
    let mut tools: Vec<Value> = request.tools.iter().map(tool).collect();
    let mut messages = turns::messages(&request.messages, options.capabilities.vision);
    if options.capabilities.prompt_cache {
        cache::mark(prompt_cache::time(options.cache, request), &mut system, &mut tools, &mut messages);
    }
    for (name, list) in [("system", system), ("tools", tools)] {
        if !list.is_empty() {
            body.insert(name.to_owned(), list.into());
        }
    }
    body.insert("messages".to_owned(), messages.into());
    let (thinking, effort) = thought(options.capabilities.thinking, request.effort);
    if let Some(thinking) = thinking {
        body.insert("thinking".to_owned(), json!({ "type": thinking }));
    }
    let mut output = Map::new();
    if let Some(effort) = effort {
        output.insert("effort".to_owned(), effort.into());
    }
    if let Some(form) = asked_form.filter(|_| native_form) {
        output.insert("format".to_owned(), json!({ "type": "json_schema", "schema": form.schema }));
    }
    if !output.is_empty() {
        body.insert("output_config".to_owned(), output.into());
    }
    body
}

/// The newer version of the API refuses sampling for every model.
fn takes_sampling(options: &Options) -> bool {
    options.version == AnthropicVersion::V20230601 && options.capabilities.sampling == Sampling::Taken
}

fn tool(spec: &ToolSpec) -> Value {
    let mut schema = spec.input_schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    json!({ "name": spec.name, "description": spec.description, "input_schema": schema })
}

//! A question as chat completions' JSON.

use greenroom_contract::port::{
    llm::{Error, Message, Part, Request, Role},
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use crate::llm::openai::{Dialect, Options};
use crate::pricing::{ChatTools, Sampling, chat_tools, max_output, sampling};

/// The body of a request. Fails where the capability table knows that the model would refuse it.
pub(super) fn body(options: &Options, request: &Request) -> Result<Value, Error> {
    let provider = options.dialect.provider();
    let wants_tools = !request.tools.is_empty();
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.as_str().into());
    body.insert("messages".to_owned(), messages(request));
    body.insert("stream".to_owned(), true.into());
    body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    let (limit_name, limit) = match options.dialect {
        Dialect::OpenAi => {
            let room = max_output(provider, &options.model).unwrap_or(u32::MAX);
            ("max_completion_tokens", request.max_tokens.min(room))
        }
        Dialect::Compatible => ("max_tokens", request.max_tokens),
    };
    body.insert(limit_name.to_owned(), limit.into());
    let mut effort_none = false;
    if wants_tools {
        match chat_tools(provider, &options.model) {
            ChatTools::Yes => {}
            ChatTools::EffortNone => effort_none = true,
            ChatTools::No => {
                return Err(Error::InvalidRequest {
                    provider: provider.to_owned(),
                    message: format!(
                        "{} takes tools by the Responses API only, which this version does not speak; \
                         use gpt-6-luna or gpt-6-sol, or take the agent's tools away",
                        options.model
                    ),
                });
            }
        }
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
    }
    if effort_none {
        body.insert("reasoning_effort".to_owned(), "none".into());
    }
    let takes_sampling = match sampling(provider, &options.model) {
        Sampling::Taken => true,
        Sampling::EffortNone => effort_none,
        Sampling::Refused => false,
    };
    if let Some(temperature) = request.temperature.filter(|_| takes_sampling) {
        // Through its decimal form, so that 0.7 is not sent as 0.699999988079071.
        let decimal: f64 = temperature.to_string().parse().unwrap_or_else(|_| temperature.into());
        body.insert("temperature".to_owned(), decimal.into());
    }
    Ok(Value::Object(body))
}

fn messages(request: &Request) -> Value {
    let system = request.system.iter().map(|text| json!({ "role": "system", "content": text }));
    system.chain(request.messages.iter().flat_map(message)).collect()
}

/// One turn becomes one message, or several: each tool's answer is its own, and stands before what the person says,
/// because the answers must follow the question for them at once.
fn message(message: &Message) -> Vec<Value> {
    let text: String = message
        .parts
        .iter()
        .filter_map(|part| if let Part::Text { text } = part { Some(text.as_str()) } else { None })
        .collect();
    match message.role {
        Role::User => {
            let answers = message.parts.iter().filter_map(|part| match part {
                Part::ToolResult { id, content, is_error, .. } => {
                    let content = if *is_error { format!("Error: {content}") } else { content.clone() };
                    Some(json!({ "role": "tool", "tool_call_id": id, "content": content }))
                }
                _ => None,
            });
            let mut all: Vec<Value> = answers.collect();
            if !text.is_empty() || all.is_empty() {
                all.push(json!({ "role": "user", "content": text }));
            }
            all
        }
        Role::Assistant => {
            let calls: Vec<Value> = message
                .parts
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
                return vec![json!({ "role": "assistant", "content": text })];
            }
            let content = if text.is_empty() { Value::Null } else { text.into() };
            vec![json!({ "role": "assistant", "content": content, "tool_calls": calls })]
        }
    }
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": { "name": spec.name, "description": spec.description, "parameters": parameters(&spec.input_schema) }
    })
}

/// OpenAI refuses a schema that is no object, and an object without `properties`.
fn parameters(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{execution::Effect, port::llm::ToolUse};

    use super::*;
    use crate::llm::{openai::parse_base_url, testing::request};

    fn options(dialect: Dialect, model: &str) -> Options {
        let base = parse_base_url(None).unwrap();
        Options { base, authorization: None, key_name: "K".to_owned(), model: model.to_owned(), dialect }
    }

    fn with_tool(mut request: Request) -> Request {
        let (name, description) = ("look".to_owned(), "Looks.".to_owned());
        request.tools.push(ToolSpec {
            name,
            description,
            input_schema: json!({ "type": "object" }),
            effect: Effect::None,
        });
        request
    }

    #[test]
    fn each_dialect_gets_its_own_limit() {
        let openai = body(&options(Dialect::OpenAi, "gpt-4o-mini"), &request("hi")).unwrap();
        assert_eq!((&openai["max_completion_tokens"], openai.get("max_tokens")), (&json!(100), None));
        let compatible = body(&options(Dialect::Compatible, "llama"), &request("hi")).unwrap();
        assert_eq!((&compatible["max_tokens"], compatible.get("max_completion_tokens")), (&json!(100), None));
        let huge = Request { max_tokens: 1_000_000, ..request("hi") };
        assert_eq!(body(&options(Dialect::OpenAi, "gpt-4o-mini"), &huge).unwrap()["max_completion_tokens"], 16_384);
    }

    #[test]
    fn what_a_model_refuses_is_not_sent() {
        let warm = Request { temperature: Some(0.7), ..request("hi") };
        let sent = |model, request: &Request| body(&options(Dialect::OpenAi, model), request).unwrap();
        assert_eq!(sent("gpt-4o-mini", &warm)["temperature"], json!(0.7));
        assert_eq!(sent("gpt-6-luna", &warm).get("temperature"), None);
        let tooled = sent("gpt-6-luna", &with_tool(warm.clone()));
        assert_eq!((&tooled["reasoning_effort"], &tooled["temperature"]), (&json!("none"), &json!(0.7)));
        assert_eq!(sent("gpt-4o-mini", &with_tool(warm.clone())).get("reasoning_effort"), None);
        let refused = body(&options(Dialect::OpenAi, "gpt-6-astra"), &with_tool(warm)).unwrap_err();
        assert!(matches!(refused, Error::InvalidRequest { .. }));
    }

    #[test]
    fn a_conversation_with_tools_keeps_its_order() {
        let mut request = with_tool(request("what is it?"));
        request.system = Some("You look.".to_owned());
        let ask = ToolUse { id: "c1".to_owned(), name: "look".to_owned(), input: json!({ "at": "it" }) };
        request.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolUse(ask)] });
        let late = Part::Text { text: "and hurry".to_owned() };
        let result =
            Part::ToolResult { id: "c1".to_owned(), content: "gone".to_owned(), is_error: true, images: vec![] };
        request.messages.push(Message { role: Role::User, parts: vec![late, result] });
        let body = body(&options(Dialect::Compatible, "m"), &request).unwrap();
        let call =
            json!({ "id": "c1", "type": "function", "function": { "name": "look", "arguments": "{\"at\":\"it\"}" } });
        let expected = json!([
            { "role": "system", "content": "You look." },
            { "role": "user", "content": "what is it?" },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "c1", "content": "Error: gone" },
            { "role": "user", "content": "and hurry" },
        ]);
        assert_eq!(body["messages"], expected);
        assert_eq!(body["tools"][0]["function"]["parameters"], json!({ "type": "object", "properties": {} }));
    }
}

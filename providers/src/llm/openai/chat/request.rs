//! A question as chat completions' JSON.

use greenroom_contract::port::{
    llm::{Error, Request},
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use super::messages::messages;
use crate::{
    llm::openai::{Dialect, Options, schema},
    pricing::{ChatTools, Sampling},
};

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
            let room = options.capabilities.max_output.unwrap_or(u32::MAX);
            ("max_completion_tokens", request.max_tokens.min(room))
        }
        Dialect::Compatible => ("max_tokens", request.max_tokens),
    };
    body.insert(limit_name.to_owned(), limit.into());
    let mut effort_none = false;
    if wants_tools {
        match options.capabilities.chat_tools {
            ChatTools::Yes => {}
            ChatTools::EffortNone => effort_none = true,
            ChatTools::No => {
                return Err(Error::InvalidRequest {
                    provider: provider.to_owned(),
                    message: format!(
                        "{} takes tools by the Responses API only; leave llm_config.api at auto",
                        options.model
                    ),
                });
            }
        }
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
    }
    let effort = if effort_none { Some("none") } else { options.effort(request) };
    if let Some(effort) = effort {
        body.insert("reasoning_effort".to_owned(), effort.into());
    }
    if let Some(form) = &request.output {
        let strict = schema::is_strict(&form.schema);
        let schema = json!({ "name": form.name, "schema": form.schema, "strict": strict });
        body.insert("response_format".to_owned(), json!({ "type": "json_schema", "json_schema": schema }));
    }
    let takes_sampling = match options.capabilities.sampling {
        Sampling::Taken => true,
        Sampling::EffortNone => effort == Some("none"),
        Sampling::Refused => false,
    };
    if let Some(temperature) = request.temperature.filter(|_| takes_sampling) {
        body.insert("temperature".to_owned(), schema::decimal(temperature));
    }
    Ok(Value::Object(body))
}

fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function",
        "function": { "name": spec.name, "description": spec.description, "parameters": schema::parameters(&spec.input_schema) }
    })
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{
        execution::Effect,
        port::llm::{Effort, Image, Message, OutputForm, Part, Role, ToolUse},
    };

    use super::*;
    use crate::{
        llm::{openai::testing, testing::request},
        pricing::Capabilities,
    };

    fn options(dialect: Dialect, model: &str) -> Options {
        let capabilities = Capabilities::of(dialect.provider(), model);
        Options { dialect, capabilities, ..testing::options(model) }
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
    fn a_form_and_an_effort_have_their_fields() {
        let schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        let output = Some(OutputForm { name: "nothing".to_owned(), schema: schema.clone() });
        let asked = Request { output, effort: Some(Effort::Low), ..request("hi") };
        let luna = body(&options(Dialect::OpenAi, "gpt-6-luna"), &asked).unwrap();
        let form = json!({ "name": "nothing", "schema": schema, "strict": true });
        assert_eq!(luna["response_format"], json!({ "type": "json_schema", "json_schema": form }));
        assert_eq!(luna["reasoning_effort"], "low");
        assert_eq!(body(&options(Dialect::OpenAi, "gpt-4o-mini"), &asked).unwrap().get("reasoning_effort"), None);
        assert_eq!(body(&options(Dialect::Compatible, "m"), &asked).unwrap()["reasoning_effort"], "low");
    }

    #[test]
    fn pictures_are_addresses_with_data_in_them() {
        let picture = Image { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        let mut request = request("what is it?");
        request.messages[0].parts.push(Part::Image(picture.clone()));
        let images = vec![picture];
        let result = Part::ToolResult { id: "c1".to_owned(), content: "see".to_owned(), is_error: false, images };
        request.messages.push(Message { role: Role::User, parts: vec![result] });
        let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } });
        let text = |text: &str| json!({ "type": "text", "text": text });
        let expected = json!([
            { "role": "user", "content": [text("what is it?"), image] },
            { "role": "tool", "tool_call_id": "c1", "content": "see" },
            { "role": "user", "content": [text("The pictures of the tool's answer c1:"), image] },
        ]);
        assert_eq!(body(&options(Dialect::Compatible, "m"), &request).unwrap()["messages"], expected);
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

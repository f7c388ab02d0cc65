//! A question as the API's JSON.

use greenroom_contract::port::{
    llm::{Effort, Request},
    tool::ToolSpec,
};
use serde_json::{Map, Value, json};

use super::items::items;
use crate::{
    llm::openai::{Dialect, Options, schema},
    pricing::Sampling,
};

/// The API refuses to answer in fewer tokens.
const LEAST_OUTPUT: u32 = 16;

/// The body of a request.
pub(super) fn body(options: &Options, request: &Request) -> Value {
    let mut body = to_count(options, request);
    body["stream"] = true.into();
    body["store"] = false.into();
    let room = match options.dialect {
        Dialect::OpenAi => options.capabilities.max_output.unwrap_or(u32::MAX),
        Dialect::Compatible => u32::MAX,
    };
    body["max_output_tokens"] = request.max_tokens.clamp(LEAST_OUTPUT, room.max(LEAST_OUTPUT)).into();
    if options.dialect == Dialect::OpenAi {
        body["prompt_cache_key"] = options.cache_key(request).into();
        if options.reasons() {
            body["include"] = json!(["reasoning.encrypted_content"]);
        }
    }
    let takes_sampling = match options.capabilities.sampling {
        Sampling::Taken => !options.reasons(),
        Sampling::EffortNone => request.effort == Some(Effort::None),
        Sampling::Refused => false,
    };
    if let Some(temperature) = request.temperature.filter(|_| takes_sampling) {
        body["temperature"] = schema::decimal(temperature);
    }
    body
}

/// What of it counts as input.
pub(super) fn to_count(options: &Options, request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), options.model.as_str().into());
    body.insert("input".to_owned(), items(options, &request.messages));
    if let Some(system) = &request.system {
        body.insert("instructions".to_owned(), system.as_str().into());
    }
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), request.tools.iter().map(tool).collect());
    }
    if let Some(effort) = options.effort(request) {
        body.insert("reasoning".to_owned(), json!({ "effort": effort }));
    }
    if let Some(form) = &request.output {
        let strict = schema::is_strict(&form.schema);
        let format = json!({ "type": "json_schema", "name": form.name, "schema": form.schema, "strict": strict });
        body.insert("text".to_owned(), json!({ "format": format }));
    }
    Value::Object(body)
}

/// Not strict: that would refuse schemas with optional arguments, which is what tools' schemas have.
fn tool(spec: &ToolSpec) -> Value {
    json!({
        "type": "function", "name": spec.name, "description": spec.description,
        "parameters": schema::parameters(&spec.input_schema), "strict": false
    })
}

#[cfg(test)]
mod tests {
    use greenroom_contract::{
        execution::Effect,
        port::llm::{Image, Message, OutputForm, Part, Role, ToolUse},
    };

    use super::{super::items::keep, *};
    use crate::llm::{openai::testing::options, testing::request};

    #[test]
    fn nothing_is_stored_and_only_what_the_model_takes_is_sent() {
        let warm = Request { temperature: Some(0.7), effort: Some(Effort::High), ..request("hi") };
        let astra = body(&options("gpt-6-astra"), &warm);
        assert_eq!((&astra["store"], &astra["stream"]), (&json!(false), &json!(true)));
        assert_eq!(astra["include"], json!(["reasoning.encrypted_content"]));
        assert_eq!((&astra["reasoning"], astra.get("temperature")), (&json!({ "effort": "high" }), None));
        let calm = Request { effort: Some(Effort::None), ..warm.clone() };
        let luna = body(&options("gpt-6-luna"), &calm);
        assert_eq!((&luna["reasoning"], &luna["temperature"]), (&json!({ "effort": "none" }), &json!(0.7)));
        // Astra cannot but think.
        assert_eq!(body(&options("gpt-6-astra"), &calm).get("reasoning"), None);
        let mini = body(&options("gpt-4o-mini"), &warm);
        assert_eq!((mini.get("reasoning"), mini.get("include"), &mini["temperature"]), (None, None, &json!(0.7)));
        let (few, many) = (Request { max_tokens: 1, ..warm.clone() }, Request { max_tokens: 1_000_000, ..warm });
        assert_eq!(body(&options("gpt-4o-mini"), &few)["max_output_tokens"], 16);
        assert_eq!(body(&options("gpt-4o-mini"), &many)["max_output_tokens"], 16_384);
    }

    #[test]
    fn the_same_agent_has_the_same_cache_key() {
        let key = |request: &Request| body(&options("gpt-6-luna"), request)["prompt_cache_key"].clone();
        let agent = Request { system: Some("You count.".to_owned()), ..request("one") };
        let later = Request { system: Some("You count.".to_owned()), ..request("two") };
        assert_eq!(key(&agent), key(&later));
        assert_ne!(key(&agent), key(&request("one")));
        assert!(key(&agent).as_str().unwrap().len() <= 64);
    }

    #[test]
    fn a_conversation_with_thinking_and_tools_is_handed_back_as_it_was() {
        let options = options("gpt-6-sol");
        let reasoning = json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA" });
        let of_another = Part::Opaque { provider: "anthropic".to_owned(), value: json!({ "kept": reasoning }) };
        let ask = ToolUse { id: "c1".to_owned(), name: "look".to_owned(), input: json!({ "at": "it" }) };
        let picture = Image { media_type: "image/png".to_owned(), data: "AAAA".to_owned() };
        let mut request = request("what is it?");
        request.system = Some("You look.".to_owned());
        request.messages.push(Message {
            role: Role::Assistant,
            parts: vec![
                of_another,
                keep(&options, reasoning.clone()),
                keep(&options, json!({ "phase": "commentary" })),
                Part::Text { text: "A moment.".to_owned() },
                Part::ToolUse(ask),
            ],
        });
        let result = Part::ToolResult {
            id: "c1".to_owned(),
            content: "gone".to_owned(),
            is_error: true,
            images: vec![picture.clone()],
        };
        request.messages.push(Message {
            role: Role::User,
            parts: vec![Part::Text { text: "and hurry".to_owned() }, Part::Image(picture), result],
        });
        let sent = body(&options, &request);
        let image = json!({ "type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA" });
        let expected = json!([
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "what is it?" }] },
            reasoning,
            { "type": "message", "role": "assistant", "content": "A moment.", "phase": "commentary" },
            { "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\":\"it\"}" },
            { "type": "function_call_output", "call_id": "c1", "output": [{ "type": "input_text", "text": "Error: gone" }, image] },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "and hurry" }, image] },
        ]);
        assert_eq!((&sent["input"], &sent["instructions"]), (&expected, &json!("You look.")));
        // Another model could not read the first one's thoughts.
        let luna = body(&super::super::super::testing::options("gpt-6-luna"), &request);
        assert!(!luna["input"].to_string().contains("gAAA"));
    }

    #[test]
    fn tools_and_forms_are_flat() {
        let mut request = request("hi");
        request.tools.push(ToolSpec {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            input_schema: json!({ "type": "object" }),
            effect: Effect::None,
        });
        let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
        request.output = Some(OutputForm { name: "thing".to_owned(), schema: schema.clone() });
        let sent = body(&options("gpt-6-astra"), &request);
        let parameters = json!({ "type": "object", "properties": {} });
        assert_eq!(
            sent["tools"],
            json!([{ "type": "function", "name": "look", "description": "Looks.", "parameters": parameters, "strict": false }])
        );
        let format = json!({ "type": "json_schema", "name": "thing", "schema": schema, "strict": false });
        assert_eq!(sent["text"]["format"], format);
    }
}

//! What is sent.

use greenroom_config::spec::PromptCache;
use greenroom_contract::{
    execution::Effect,
    port::{
        llm::{Effort, Message, OutputForm, Part, Request, Role, ToolUse},
        tool::ToolSpec,
    },
};
use secrecy::SecretString;
use serde_json::json;

use super::{
    client::{self, Identity},
    failure::{Refusal, of_response},
    model::Options,
    request::body,
};
use crate::{llm::testing::request, pricing::Capabilities};

fn options(model: &str) -> Options {
    let identity = Identity::Bearer(SecretString::from("canary"));
    Options {
        client: client::client(client::http(), &identity, "us-east-1".to_owned(), None),
        secrets: identity.secrets(),
        key_name: "AWS_BEARER_TOKEN_BEDROCK".to_owned(),
        model: model.to_owned(),
        cache: PromptCache::Auto,
        capabilities: Capabilities::of("bedrock", model),
    }
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-6";
const LLAMA: &str = "us.meta.llama4-scout-17b-instruct-v1:0";

fn with_tool(request: Request) -> Request {
    let schema = json!({ "type": "object", "properties": { "z": {}, "a": {}, "m": {}, "b": {} } });
    let (name, description) = ("look".to_owned(), String::new());
    Request { tools: vec![ToolSpec { name, description, input_schema: schema, effect: Effect::None }], ..request }
}

#[test]
fn the_same_question_is_the_same_bytes() {
    // What a provider remembers it knows by its bytes.
    let asked = with_tool(request("hi"));
    let sent = || body(&options(CLAUDE), &asked).to_string();
    assert_eq!(sent(), sent());
    assert!(sent().contains("\"inputSchema\""), "{}", sent());
}

#[test]
fn a_llama_is_sent_nothing_that_it_does_not_know() {
    let form = OutputForm { name: "mood".to_owned(), schema: json!({ "type": "object" }) };
    let asked = Request { effort: Some(Effort::High), output: Some(form), temperature: Some(0.5), ..request("hi") };
    let sent = body(&options(LLAMA), &with_tool(asked));
    assert!(!sent.to_string().contains("cachePoint"), "{sent}");
    assert_eq!((sent.get("outputConfig"), sent.get("additionalModelRequestFields")), (None, None));
    assert_eq!(sent["toolConfig"].get("toolChoice"), None);
    assert_eq!(sent["inferenceConfig"], json!({ "maxTokens": 100, "temperature": 0.5 }));
    assert!(sent["system"][0]["text"].as_str().unwrap().contains("JSON Schema"));
    assert_eq!(sent["toolConfig"]["tools"][0]["toolSpec"].get("description"), None, "an empty one is refused");
}

#[test]
fn a_claude_thinks_remembers_and_keeps_to_a_form() {
    let form = OutputForm { name: "mood".to_owned(), schema: json!({ "type": "object" }) };
    let asked = Request { effort: Some(Effort::High), output: Some(form), ..request("hi") };
    let sent = body(&options(CLAUDE), &with_tool(asked));
    let schema = json!({ "name": "mood", "schema": "{\"type\":\"object\"}" });
    let format = json!({ "type": "json_schema", "structure": { "jsonSchema": schema } });
    assert_eq!(sent["outputConfig"], json!({ "effort": "high", "textFormat": format }));
    assert_eq!(sent["additionalModelRequestFields"], json!({ "thinking": { "type": "adaptive" } }));
    let mark = json!({ "cachePoint": { "type": "default", "ttl": "5m" } });
    assert_eq!((&sent["toolConfig"]["tools"][1], &sent["messages"][0]["content"][1]), (&mark, &mark));
}

#[test]
fn turns_are_what_converse_takes() {
    let text = |text: &str| Part::Text { text: text.to_owned() };
    let own = Part::Opaque { provider: "bedrock".to_owned(), value: json!({ "reasoningContent": {} }) };
    let ask = ToolUse { id: "call:7".to_owned(), name: "look".to_owned(), input: json!({ "at": "it" }) };
    let (id, content) = ("call:7".to_owned(), String::new());
    let result = Part::ToolResult { id, content, is_error: true, images: vec![] };
    let mut asked = with_tool(request("hi"));
    asked.messages.push(Message { role: Role::User, parts: vec![text("and hurry")] });
    asked.messages.push(Message { role: Role::Assistant, parts: vec![own, Part::ToolUse(ask)] });
    asked.messages.push(Message { role: Role::User, parts: vec![text("well?"), result] });
    let off = Options { cache: PromptCache::Off, ..options(CLAUDE) };
    let expected = json!([
        { "role": "user", "content": [{ "text": "hi" }, { "text": "and hurry" }] },
        { "role": "assistant", "content": [
            { "reasoningContent": {} },
            { "toolUse": { "toolUseId": "call_7", "name": "look", "input": { "at": "it" } } },
        ] },
        { "role": "user", "content": [
            { "toolResult": { "toolUseId": "call_7", "status": "error", "content": [{ "text": "(nothing)" }] } },
            { "text": "well?" },
        ] },
    ]);
    assert_eq!(body(&off, &asked)["messages"], expected);
    // In a request without tools their calls are told, because Converse refuses them.
    asked.tools.clear();
    let told = body(&off, &asked)["messages"][1]["content"][1].clone();
    assert_eq!(told, json!({ "text": "(I called look with {\"at\":\"it\"})" }));
}

#[test]
fn the_raw_status_decides_and_no_key_is_repeated() {
    let error = |status, code| {
        let said = "no such key: canary!";
        let error = of_response(&options(CLAUDE), &Refusal { status, code, said, retry_after: None });
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        error.code()
    };
    assert_eq!(error(529, ""), "provider_unavailable");
    assert_eq!(error(424, "ModelErrorException"), "provider_unavailable");
    assert_eq!(error(429, "ModelNotReadyException"), "rate_limited");
    assert_eq!(error(400, "ServiceQuotaExceededException"), "quota_exhausted");
    assert_eq!(error(400, "ValidationException"), "invalid_request");
    assert_eq!(error(403, "ExpiredTokenException"), "authentication");
    assert_eq!(error(200, ""), "interrupted");
}

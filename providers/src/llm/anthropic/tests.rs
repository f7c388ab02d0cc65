//! What is sent, and what refusals mean.

use std::time::Duration;

use greenroom_config::spec::{AnthropicVersion, PromptCache};
use greenroom_contract::{
    execution::Effect,
    port::{
        llm::{Effort, Image, Message, OutputForm, Part, Request, Role, ToolUse},
        tool::ToolSpec,
    },
};
use serde_json::{Value, json};

use super::{
    Options,
    failure::{Advice, Said, of_response, of_stream},
    options::parse_base_url,
    request::body,
};
use crate::{llm::testing::request, pricing::Capabilities};

fn options(model: &str) -> Options {
    Options {
        base: parse_base_url(None).unwrap(),
        credentials: None,
        key_name: "ANTHROPIC_API_KEY".to_owned(),
        model: model.to_owned(),
        version: AnthropicVersion::V20261021,
        betas: Vec::new(),
        cache: PromptCache::Auto,
        capabilities: Capabilities::of("anthropic", model),
    }
}

fn sent(model: &str, request: &Request) -> Value {
    body(&options(model), request)
}

fn tool(name: &str) -> ToolSpec {
    let (name, description) = (name.to_owned(), "Looks.".to_owned());
    ToolSpec { name, description, input_schema: json!({ "properties": {} }), effect: Effect::None }
}

#[test]
fn sampling_goes_only_to_who_takes_it() {
    let warm = Request { temperature: Some(0.7), ..request("hi") };
    let older = |model| Options { version: AnthropicVersion::V20230601, ..options(model) };
    assert_eq!(body(&older("claude-haiku-4-5"), &warm)["temperature"], json!(0.7));
    assert_eq!(
        body(&older("claude-haiku-4-5"), &Request { temperature: Some(1.5), ..warm.clone() })["temperature"],
        1.0
    );
    assert_eq!(body(&older("claude-opus-5-5"), &warm).get("temperature"), None);
    // The newer version refuses it for every model.
    assert_eq!(sent("claude-haiku-4-5", &warm).get("temperature"), None);
}

#[test]
fn there_is_never_more_asked_for_than_there_is_room() {
    let huge = Request { max_tokens: 1_000_000, ..request("hi") };
    assert_eq!(sent("claude-haiku-4-5", &huge)["max_tokens"], 64_000);
    assert_eq!(sent("claude-of-tomorrow", &huge)["max_tokens"], 1_000_000);
}

#[test]
fn effort_is_sent_as_far_as_the_model_has_the_choice() {
    let sent = |model, effort| {
        let sent = sent(model, &Request { effort: Some(effort), ..request("hi") });
        let word = |value: &Value| value.as_str().map(str::to_owned);
        (word(&sent["thinking"]["type"]), word(&sent["output_config"]["effort"]))
    };
    let some = |word: &str| Some(word.to_owned());
    assert_eq!(sent("claude-opus-5", Effort::High), (some("adaptive"), some("high")));
    assert_eq!(sent("claude-opus-5", Effort::None), (some("disabled"), None));
    assert_eq!(sent("claude-opus-5-5", Effort::Xhigh), (None, some("xhigh")));
    assert_eq!(sent("claude-opus-5-5", Effort::None), (None, some("low")));
    assert_eq!(sent("claude-haiku-4-5", Effort::High), (None, None));
}

#[test]
fn a_form_is_asked_for_natively_or_in_words() {
    let form = OutputForm { name: "mood".to_owned(), schema: json!({ "type": "object" }) };
    let asked = Request { output: Some(form), system: Some("Be kind.".to_owned()), ..request("hi") };
    let format = json!({ "type": "json_schema", "schema": { "type": "object" } });
    assert_eq!(sent("claude-opus-5-5", &asked)["output_config"]["format"], format);
    let mut without = options("claude-of-yesterday");
    without.capabilities.structured_output = false;
    let sent = body(&without, &asked);
    assert_eq!(sent.get("output_config"), None);
    assert_eq!(sent["system"][0]["text"], "Be kind.");
    assert!(sent["system"][1]["text"].as_str().unwrap().contains("{\"type\":\"object\"}"));
}

#[test]
fn marks_stand_after_what_is_always_the_same_and_at_the_end() {
    let mark = json!({ "type": "ephemeral", "ttl": "5m" });
    let asked = Request { system: Some("Be kind.".to_owned()), tools: vec![tool("look")], ..request("hi") };
    let first = sent("claude-opus-5-5", &asked);
    assert_eq!(first["system"][0]["cache_control"], mark);
    assert_eq!(first["messages"][0]["content"][0]["cache_control"], mark);
    assert_eq!(first["tools"][0].get("cache_control"), None, "the system's mark covers the tools");
    // Without a system prompt the last tool has it.
    let bare = sent("claude-opus-5-5", &Request { system: None, ..asked.clone() });
    assert_eq!(bare["tools"][0]["cache_control"], mark);
    // A single question is not written down, unless the operator says so.
    assert!(!sent("claude-opus-5-5", &request("hi")).to_string().contains("cache_control"));
    let hour = Options { cache: PromptCache::Hour, ..options("claude-opus-5-5") };
    assert_eq!(body(&hour, &request("hi"))["messages"][0]["content"][0]["cache_control"]["ttl"], "1h");
    let off = Options { cache: PromptCache::Off, ..options("claude-opus-5-5") };
    assert!(!body(&off, &asked).to_string().contains("cache_control"));
}

#[test]
fn turns_are_what_the_api_takes() {
    let opaque = |provider: &str| Part::Opaque { provider: provider.to_owned(), value: json!({ "type": "thinking" }) };
    let text = |text: &str| Part::Text { text: text.to_owned() };
    let ask = ToolUse { id: "call:7".to_owned(), name: "look".to_owned(), input: json!({ "at": "it" }) };
    let image = Image { media_type: "image/png".to_owned(), data: "aGk=".to_owned() };
    let (id, content) = ("call:7".to_owned(), String::new());
    let result = Part::ToolResult { id, content, is_error: true, images: vec![image] };
    let mut asked = request("hi");
    let turn = |role, parts| Message { role, parts };
    asked
        .messages
        .push(turn(Role::Assistant, vec![opaque("anthropic"), opaque("bedrock"), text(" "), Part::ToolUse(ask)]));
    asked.messages.push(turn(Role::User, vec![text("hurry"), result]));
    asked.messages.push(turn(Role::Assistant, vec![opaque("bedrock")]));
    asked.messages.push(turn(Role::User, vec![text("")]));
    let mut blind = options("claude-opus-5-5");
    (blind.cache, blind.capabilities.vision) = (PromptCache::Off, false);
    let expected = json!([
        { "role": "user", "content": [{ "type": "text", "text": "hi" }] },
        { "role": "assistant", "content": [
            { "type": "thinking" },
            { "type": "tool_use", "id": "call_7", "name": "look", "input": { "at": "it" } },
        ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "call_7", "is_error": true, "content": [
                { "type": "text", "text": "(a picture that this model cannot take)" },
            ] },
            { "type": "text", "text": "hurry" },
        ] },
        { "role": "user", "content": [{ "type": "text", "text": "(nothing)" }] },
    ]);
    assert_eq!(body(&blind, &asked)["messages"], expected);
}

#[test]
fn the_servers_advice_is_taken() {
    let code = |status, should_retry, retry_after| {
        let advice = Advice { retry_after, should_retry };
        of_response(&options("m"), status, advice, &Said::default()).code()
    };
    let wait = Some(Duration::from_secs(3));
    assert_eq!(code(529, None, None), "provider_unavailable");
    assert_eq!(code(529, None, wait), "rate_limited", "who says when to come back is waited for");
    assert_eq!(code(500, Some(false), None), "provider_unavailable", "a fault of the server is not our mistake");
    assert_eq!(code(409, Some(false), None), "invalid_request");
    assert_eq!(code(400, Some(true), None), "provider_unavailable");
    assert_eq!(code(429, Some(false), None), "quota_exhausted");
    assert_eq!(code(409, None, None), "provider_unavailable");
    assert_eq!(code(402, None, None), "quota_exhausted");
    assert_eq!(code(418, None, None), "invalid_request");
}

#[test]
fn an_error_event_is_told_apart_by_its_type() {
    let code = |kind: &str| of_stream(&options("m"), &Said::read(&json!({ "error": { "type": kind } }))).code();
    assert_eq!(code("overloaded_error"), "provider_unavailable");
    assert_eq!(code("rate_limit_error"), "rate_limited");
    assert_eq!(code("invalid_request_error"), "invalid_request");
    assert_eq!(code("permission_error"), "authentication");
    assert_eq!(code("billing_error"), "quota_exhausted");
    assert_eq!(code("a_new_error"), "provider_unavailable");
}

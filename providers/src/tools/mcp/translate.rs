//! The protocol's words into ours.

use greenroom_contract::{
    execution::Effect,
    port::tool::{Answer, Call, ToolSpec},
};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, RequestMetaObject, ResourceContents, Tool,
    ToolAnnotations,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Where a call's idempotency key stands in its `_meta`, for servers whose tools are declared `keyed`.
const KEY: &str = "greenroom/idempotency-key";

/// What stands for a kind of content that the SDK learns after this was written.
const UNKNOWN: &str = "[content of an unknown kind]";

/// A tool as the model sees it. `declared` is what the operator says about its effect, which is believed before what
/// the server says; a tool about which nobody says anything must not run twice.
pub(super) fn spec(tool: &Tool, declared: Option<Effect>) -> ToolSpec {
    let said = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    ToolSpec {
        name: tool.name.to_string(),
        description: said.to_owned(),
        input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        effect: declared.unwrap_or_else(|| hinted(tool.annotations.as_ref())),
    }
}

fn hinted(annotations: Option<&ToolAnnotations>) -> Effect {
    let Some(hints) = annotations else { return Effect::AtMostOnce };
    match (hints.read_only_hint, hints.idempotent_hint) {
        (Some(true), _) => Effect::None,
        (_, Some(true)) => Effect::Idempotent,
        _ => Effect::AtMostOnce,
    }
}

/// A call, with its idempotency key and its place in the workflow's trace.
pub(super) fn request(own_name: &str, call: &Call) -> CallToolRequestParams {
    let mut meta = RequestMetaObject::default();
    let span = Sha256::digest(&call.idempotency_key);
    meta.set_traceparent(format!("00-{}-{}-01", call.trace_id, hex::encode(&span[..8])));
    meta.insert(KEY.to_owned(), call.idempotency_key.as_str().into());
    let mut params = CallToolRequestParams::new(own_name.to_owned()).with_arguments(arguments(&call.input));
    params.meta = Some(meta);
    params
}

fn arguments(input: &Value) -> JsonObject {
    input.as_object().cloned().unwrap_or_default()
}

/// An answer, as text: that is what models read. What is no text is named, so that the model knows of it.
pub(super) fn answer(result: CallToolResult) -> Answer {
    let mut lines: Vec<String> = result.content.iter().map(line).collect();
    if lines.is_empty() {
        lines.extend(result.structured_content.as_ref().map(Value::to_string));
    }
    Answer {
        content: lines.join("\n"),
        is_error: result.is_error.unwrap_or(false),
        images: Vec::new(),
        emits: Vec::new(),
    }
}

fn line(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[an image ({}), which is not shown]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[a sound ({}), which is not played]", audio.mime_type),
        ContentBlock::ResourceLink(link) => format!("[{}: {}]", link.name, link.uri),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            ResourceContents::BlobResourceContents { uri, .. } => format!("[the contents of {uri}, which are no text]"),
            _ => UNKNOWN.to_owned(),
        },
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(annotations: Value) -> Tool {
        let tool = json!({ "name": "t", "inputSchema": { "type": "object" }, "annotations": annotations });
        serde_json::from_value(tool).unwrap()
    }

    #[test]
    fn the_operator_is_believed_before_the_server_and_silence_means_at_most_once() {
        assert_eq!(spec(&tool(json!({ "readOnlyHint": true })), None).effect, Effect::None);
        assert_eq!(spec(&tool(json!({ "idempotentHint": true })), None).effect, Effect::Idempotent);
        assert_eq!(spec(&tool(json!({ "readOnlyHint": false })), None).effect, Effect::AtMostOnce);
        assert_eq!(spec(&tool(json!(null)), None).effect, Effect::AtMostOnce);
        assert_eq!(spec(&tool(json!({ "readOnlyHint": true })), Some(Effect::Keyed)).effect, Effect::Keyed);
    }

    #[test]
    fn an_answer_is_text_and_what_is_none_is_named() {
        let read = |json: Value| answer(serde_json::from_value(json).unwrap());
        let mixed = read(json!({ "content": [
            { "type": "text", "text": "two" },
            { "type": "image", "data": "AAAA", "mimeType": "image/png" },
            { "type": "resource", "resource": { "uri": "file:///a", "text": "three" } }
        ], "isError": true }));
        assert_eq!(mixed.content, "two\n[an image (image/png), which is not shown]\nthree");
        assert!(mixed.is_error);
        assert_eq!(read(json!({ "content": [], "structuredContent": { "a": 1 } })).content, "{\"a\":1}");
    }
}

//! The protocol's words into ours.

use base64::{Engine, engine::general_purpose::STANDARD};
use greenroom_contract::{
    execution::Effect,
    port::{
        llm::{Image, PICTURES},
        tool::{Answer, Call, ToolSpec},
    },
};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ContentBlock, JsonObject, RequestMetaObject, ResourceContents, Tool,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Where a call's idempotency key stands in its `_meta`, for servers whose tools are declared `keyed`.
const KEY: &str = "greenroom/idempotency-key";

/// What stands for a kind of content that the SDK learns after this was written.
const UNKNOWN: &str = "[content of an unknown kind]";

/// The largest picture that is handed on, in base64, and how many of one answer are.
const LARGEST_PICTURE: usize = 5 * 1024 * 1024;
const MOST_PICTURES: usize = 8;

/// A tool as the model sees it.
pub(super) fn spec(tool: &Tool, effect: Effect) -> ToolSpec {
    let said = tool.description.as_deref().or(tool.title.as_deref()).unwrap_or_default();
    ToolSpec {
        name: tool.name.to_string(),
        description: said.to_owned(),
        input_schema: Value::Object(tool.input_schema.as_ref().clone()),
        effect,
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

/// An answer: text, which is what all models read, and pictures. What is neither is named, so that the model knows of
/// it. A structured result is told where no text says the same already.
pub(super) fn answer(result: CallToolResult) -> Answer {
    let mut images = Vec::new();
    let mut lines: Vec<String> = result.content.into_iter().map(|block| line(block, &mut images)).collect();
    if let Some(structured) = result.structured_content {
        let is_it = |line: &String| serde_json::from_str::<Value>(line).is_ok_and(|said| said == structured);
        if !lines.iter().any(is_it) {
            lines.push(structured.to_string());
        }
    }
    Answer { is_error: result.is_error.unwrap_or(false), images, ..Answer::text(lines.join("\n")) }
}

fn line(block: ContentBlock, images: &mut Vec<Image>) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => picture(image.mime_type, image.data, images),
        ContentBlock::Audio(audio) => format!("[a sound ({}), which is not played]", audio.mime_type),
        ContentBlock::ResourceLink(link) => {
            let about = link.description.map(|said| format!(" ({said})")).unwrap_or_default();
            format!("[{}: {}{about}]", link.name, link.uri)
        }
        ContentBlock::Resource(resource) => match resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => match mime_type {
                Some(kind) if PICTURES.contains(&kind.as_str()) => picture(kind, blob, images),
                _ => format!("[the contents of {uri}, which are no text]"),
            },
            _ => UNKNOWN.to_owned(),
        },
        _ => UNKNOWN.to_owned(),
    }
}

/// Hands a picture on, and says so in the text; one that no model would take is only named.
fn picture(kind: String, data: String, images: &mut Vec<Image>) -> String {
    let fault = if !PICTURES.contains(&kind.as_str()) {
        "is of a kind that models do not take"
    } else if data.len() > LARGEST_PICTURE {
        "is too large"
    } else if images.len() >= MOST_PICTURES {
        "is one too many"
    } else if STANDARD.decode(&data).is_err() {
        "is damaged"
    } else {
        images.push(Image { media_type: kind.clone(), data });
        return format!("[a picture ({kind})]");
    };
    format!("[a picture ({kind}), which is not shown: it {fault}]")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Answer {
        answer(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn text_is_told_pictures_are_handed_on_and_the_rest_is_named() {
        let mixed = read(json!({ "content": [
            { "type": "text", "text": "two" },
            { "type": "image", "data": "AAAA", "mimeType": "image/png" },
            { "type": "image", "data": "!", "mimeType": "image/png" },
            { "type": "image", "data": "AAAA", "mimeType": "image/tiff" },
            { "type": "audio", "data": "AAAA", "mimeType": "audio/wav" },
            { "type": "resource_link", "uri": "file:///b", "name": "b", "description": "the second" },
            { "type": "resource", "resource": { "uri": "file:///a", "text": "three" } },
            { "type": "resource", "resource": { "uri": "file:///p", "blob": "AAAA", "mimeType": "image/jpeg" } }
        ], "isError": true }));
        let lines: Vec<_> = mixed.content.lines().collect();
        assert_eq!(
            lines,
            [
                "two",
                "[a picture (image/png)]",
                "[a picture (image/png), which is not shown: it is damaged]",
                "[a picture (image/tiff), which is not shown: it is of a kind that models do not take]",
                "[a sound (audio/wav), which is not played]",
                "[b: file:///b (the second)]",
                "three",
                "[a picture (image/jpeg)]",
            ]
        );
        let kinds: Vec<_> = mixed.images.iter().map(|image| image.media_type.as_str()).collect();
        assert_eq!(kinds, ["image/png", "image/jpeg"]);
        assert!(mixed.is_error);
    }

    #[test]
    fn a_structured_result_is_told_once() {
        let structured = json!({ "a": 1, "b": [2] });
        let both = json!({ "content": [{ "type": "text", "text": "{\"b\": [2], \"a\": 1}" }], "structuredContent": structured });
        assert_eq!(read(both).content, "{\"b\": [2], \"a\": 1}");
        assert_eq!(read(json!({ "content": [], "structuredContent": structured })).content, "{\"a\":1,\"b\":[2]}");
        let beside = json!({ "content": [{ "type": "text", "text": "found it" }], "structuredContent": structured });
        assert_eq!(read(beside).content, "found it\n{\"a\":1,\"b\":[2]}");
    }
}

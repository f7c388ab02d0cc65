//! Tokens, when nobody counts them: a quarter of the characters, which is near enough for a budget and always flagged.

use greenroom_contract::port::llm::{Part, Request, Usage};

/// About how many tokens a text has.
pub(crate) fn tokens(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}

/// About how many input tokens a request has, flagged as an estimate.
pub(crate) fn input(request: &Request) -> Usage {
    let system = request.system.as_deref().map_or(0, tokens);
    let said: u64 = request.messages.iter().flat_map(|message| &message.parts).map(part).sum();
    let tools: u64 = request
        .tools
        .iter()
        .map(|tool| tokens(&tool.name) + tokens(&tool.description) + tokens(&tool.input_schema.to_string()))
        .sum();
    Usage { input: system + said + tools, estimated: true, ..Usage::default() }
}

/// About what a picture costs: the vendors name figures from 85 to 1600 by its size, which is not looked at here.
const IMAGE: u64 = 1000;

/// About how many output tokens an answer has.
pub(crate) fn output(parts: &[Part]) -> u64 {
    parts.iter().map(part).sum()
}

/// How many input tokens a request has by OpenAI's last published vocabulary: nearer than by characters, and flagged all the
/// same, because newer models have vocabularies of their own. It takes a moment, so it is done on a thread for such work.
pub(crate) async fn input_by_vocabulary(request: &Request) -> Usage {
    let by_characters = input(request);
    let text = text_of(request);
    let pictures = request.messages.iter().flat_map(|message| &message.parts).map(pictures).sum::<u64>();
    let counted = tokio::task::spawn_blocking(move || tiktoken_rs::o200k_base_singleton().count_ordinary(&text)).await;
    // It fails only when the runtime ends.
    counted.map_or(by_characters, |tokens| Usage { input: tokens as u64 + pictures, ..by_characters })
}

fn text_of(request: &Request) -> String {
    let mut text = request.system.clone().unwrap_or_default();
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        text.push('\n');
        match part {
            Part::Text { text: said } | Part::ToolResult { content: said, .. } => text.push_str(said),
            Part::ToolUse(ask) => text.push_str(&format!("{} {}", ask.name, ask.input)),
            Part::Opaque { value, .. } => text.push_str(&value.to_string()),
            Part::Image(_) => {}
        }
    }
    for tool in &request.tools {
        text.push_str(&format!("\n{} {} {}", tool.name, tool.description, tool.input_schema));
    }
    text
}

fn pictures(part: &Part) -> u64 {
    match part {
        Part::Image(_) => IMAGE,
        Part::ToolResult { images, .. } => IMAGE * images.len() as u64,
        _ => 0,
    }
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text } => tokens(text),
        Part::ToolUse(ask) => tokens(&ask.name) + tokens(&ask.input.to_string()),
        Part::ToolResult { content, images, .. } => tokens(content) + IMAGE * images.len() as u64,
        Part::Image(_) => IMAGE,
        Part::Opaque { value, .. } => tokens(&value.to_string()),
    }
}

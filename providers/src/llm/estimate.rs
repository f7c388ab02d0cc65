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

fn part(part: &Part) -> u64 {
    match part {
        Part::Text { text } => tokens(text),
        Part::ToolUse(ask) => tokens(&ask.name) + tokens(&ask.input.to_string()),
        Part::ToolResult { content, images, .. } => tokens(content) + IMAGE * images.len() as u64,
        Part::Image(_) => IMAGE,
        Part::Opaque { value, .. } => tokens(&value.to_string()),
    }
}

//! What fits into a model's context: of a conversation that is longer, its older part stays out.

use greenroom_contract::port::llm::{Message, Part, Request, Role};

use super::size;

/// Bytes of text to a token, counted low: English has about four, code and other scripts fewer.
pub(super) const BYTES_PER_TOKEN: u64 = 3;
/// So much of a long tool result is left when there is no room for all of it, in characters.
const HEAD: usize = 400;
const SHORTENED: &str = "\n[… shortened: the whole of it does not fit into the model's context]";

/// About how many tokens a request has.
pub(super) fn weight(request: &Request) -> u64 {
    size::of_request(request) / BYTES_PER_TOKEN
}

/// How many tokens of input a model has room for, with its answer beside them.
pub(super) fn room(window: u64, max_tokens: u32) -> u64 {
    window.saturating_sub(u64::from(max_tokens)).saturating_mul(95) / 100
}

/// The request in so many tokens: the oldest exchanges before the present question stay out, then the tools' longest-ago
/// answers are shortened. What cannot be made shorter stays as it is, and the provider says so. Each turn is weighed once,
/// however long the conversation.
pub(super) fn fit(mut request: Request, room: u64) -> Request {
    let turns: Vec<u64> = request.messages.iter().map(size::of_turn).collect();
    let before = size::beside_turns(&request) + turns.iter().sum::<u64>();
    let too_much = |bytes: u64| bytes / BYTES_PER_TOKEN > room;
    if !too_much(before) {
        return request;
    }
    let (mut bytes, mut first) = (before, 0);
    for (at, turn) in request.messages.iter().enumerate().skip(1) {
        if !too_much(bytes) {
            break;
        }
        if is_question(turn) {
            bytes -= turns[first..at].iter().sum::<u64>();
            first = at;
        }
    }
    request.messages.drain(..first);
    let last = request.messages.len().saturating_sub(1);
    for (at, turn) in request.messages.iter_mut().enumerate() {
        for part in &mut turn.parts {
            if !too_much(bytes) {
                break;
            }
            bytes -= size::of_part(part);
            shorten(part, at == last);
            bytes += size::of_part(part);
        }
    }
    tracing::info!(
        turns.before = turns.len(),
        turns.sent = request.messages.len(),
        tokens.before = before / BYTES_PER_TOKEN,
        tokens.sent = bytes / BYTES_PER_TOKEN,
        tokens.room = room,
        "The conversation is longer than the model's context; its older part is left out."
    );
    request
}

/// A turn of a person or event, which no tool's answer is part of: a conversation may begin with it.
pub(super) fn is_question(turn: &Message) -> bool {
    turn.role == Role::User && !turn.parts.iter().any(|part| matches!(part, Part::ToolResult { .. }))
}

/// Shortens a tool's answer; the newest keeps ten times as much.
fn shorten(part: &mut Part, newest: bool) {
    let Part::ToolResult { content, images, .. } = part else { return };
    images.clear();
    let keep = if newest { HEAD * 10 } else { HEAD };
    if let Some((end, _)) = content.char_indices().nth(keep)
        && content.len() > end + SHORTENED.len()
    {
        content.truncate(end);
        content.push_str(SHORTENED);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn request(messages: Vec<Message>) -> Request {
        Request {
            system: Some("You help.".to_owned()),
            messages,
            tools: Vec::new(),
            max_tokens: 100,
            temperature: None,
            effort: None,
            output: None,
            idempotency_key: String::new(),
            silence: Duration::from_secs(1),
        }
    }

    fn result(text: &str) -> Message {
        let part = Part::ToolResult { id: "1".to_owned(), content: text.to_owned(), is_error: false, images: vec![] };
        Message { role: Role::User, parts: vec![part] }
    }

    fn exchange(question: &str) -> Vec<Message> {
        vec![
            Message::text(Role::User, question),
            Message::text(Role::Assistant, "let me look"),
            result(&"x".repeat(3000)),
            Message::text(Role::Assistant, "so it is"),
        ]
    }

    #[test]
    fn what_fits_is_left_alone() {
        let all = request(exchange("one"));
        let room = weight(&all);
        assert_eq!(fit(all.clone(), room).messages, all.messages);
    }

    #[test]
    fn the_oldest_exchanges_stay_out_and_what_is_left_begins_with_a_question() {
        let mut messages = exchange("one");
        messages.extend(exchange("two"));
        messages.extend(exchange("three"));
        let room = weight(&request(exchange("three"))) + 10;
        let fitted = fit(request(messages), room);
        assert_eq!(fitted.messages, exchange("three"));
    }

    #[test]
    fn old_tool_answers_are_shortened_before_new_ones_and_the_question_is_kept() {
        let mut messages = vec![Message::text(Role::User, "the question")];
        for _ in 0..4 {
            messages.push(Message::text(Role::Assistant, "again"));
            messages.push(result(&"é".repeat(3000)));
        }
        let all = request(messages);
        let fitted = fit(all.clone(), weight(&all) / 2);
        assert_eq!(fitted.messages.len(), all.messages.len());
        assert_eq!(fitted.messages[0], all.messages[0]);
        assert_eq!(fitted.messages.last(), all.messages.last(), "the newest answer is whole");
        assert!(weight(&fitted) <= weight(&all) / 2);
        let Part::ToolResult { content, .. } = &fitted.messages[2].parts[0] else { panic!() };
        assert!(content.ends_with(SHORTENED), "{content}");
    }
}

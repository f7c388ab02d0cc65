//! An answer as Slack takes it: Markdown in blocks of its own kind, and the same in Slack's dialect for where blocks are
//! not shown (a notification, a screen reader) or not taken.

use serde_json::{Value, json};

use super::{mrkdwn::mrkdwn, split::split};

/// The most characters of one message's block. A markdown block takes 12,000, and all blocks of a message together about
/// 13,200, which Slack nowhere writes down.
const BLOCK: usize = 11_500;
/// The most messages: a `response_url` may be used five times.
pub(super) const MOST: usize = 5;
/// As much of an answer is looked at, in characters: some more than all messages hold.
const CONVERTED: usize = BLOCK * MOST + 2_000;
/// The most characters of the text that stands for a block: above 4,000 Slack advises against it.
const TEXT: usize = 3_500;
/// The most characters of the words beside a file.
const OPENING: usize = 2_500;
const IN_FILE: &str = "_(The answer is long: all of it is in the file.)_";
const EMPTY: &str = "_(The answer is empty.)_";

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    markdown: String,
}

/// Whether messages can hold all of it.
pub(super) fn fits(markdown: &str) -> bool {
    markdown.len() <= BLOCK
        || (markdown.chars().nth(CONVERTED).is_none() && split(&quiet(markdown), true, BLOCK, MOST + 1).len() <= MOST)
}

/// The beginning of an answer that is in a file, in Slack's dialect.
pub(super) fn opening(markdown: &str) -> String {
    let end = markdown.char_indices().nth(OPENING).map_or(markdown.len(), |(end, _)| end);
    let first = split(&quiet(&markdown[..end]), true, OPENING, usize::MAX).into_iter().next().unwrap_or_default();
    format!("{}\n\n{IN_FILE}", mrkdwn(&first))
}

/// The answer, in as many messages as it needs.
pub(super) fn messages(markdown: &str) -> Vec<Message> {
    if markdown.trim().is_empty() {
        return vec![Message { markdown: EMPTY.to_owned() }];
    }
    // What could never be shown is not converted either.
    let end = markdown.char_indices().nth(CONVERTED).map(|(end, _)| end);
    let shown = quiet(&markdown[..end.unwrap_or(markdown.len())]);
    split(&shown, end.is_none(), BLOCK, MOST).into_iter().map(|markdown| Message { markdown }).collect()
}

impl Message {
    /// Blocks, with a text for where they are not shown.
    pub(super) fn blocks(&self) -> Value {
        let text = mrkdwn(&self.markdown);
        let text = split(&text, true, TEXT, 1).into_iter().next().unwrap_or(text);
        json!({ "text": text, "blocks": [{ "type": "markdown", "text": self.markdown }] })
    }

    /// The whole of it without blocks, for where they are refused.
    pub(super) fn text(&self) -> Value {
        json!({ "text": mrkdwn(&self.markdown) })
    }
}

/// A model's answer rings nobody: what Slack would read as a command (`<!channel>`, `<@U1>`) stays a text.
fn quiet(markdown: &str) -> String {
    markdown.replace("<!", "<\u{2060}!").replace("<@", "<\u{2060}@")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_markdown_with_a_text_beside_it() {
        let messages = messages("**done** & <dusted>\n\n| a | b |\n|---|---|\n| 1 | 2 |");
        assert_eq!(messages.len(), 1);
        let body = messages[0].blocks();
        assert_eq!(body["blocks"][0]["type"], "markdown");
        assert!(body["blocks"][0]["text"].as_str().unwrap().starts_with("**done** & <dusted>\n\n| a |"));
        assert!(body["text"].as_str().unwrap().starts_with("*done* &amp; &lt;dusted&gt;"));
    }

    #[test]
    fn a_message_keeps_to_slacks_limits_and_the_rest_is_said_to_be_cut() {
        for text in ["word ".repeat(100_000), "x".repeat(500_000), format!("```\n{}\n```", "line\n".repeat(100_000))] {
            let messages = messages(&text);
            assert_eq!(messages.len(), MOST);
            for message in &messages {
                let body = message.blocks();
                assert!(body["blocks"][0]["text"].as_str().unwrap().chars().count() <= 12_000);
                assert!(body["text"].as_str().unwrap().chars().count() <= 4_000);
                assert_eq!(message.markdown.matches("```").count() % 2, 0);
            }
            assert!(messages[MOST - 1].markdown.contains("was cut"));
        }
    }

    #[test]
    fn what_messages_hold_needs_no_file_and_what_is_cut_does() {
        for (text, whole) in [
            ("short".to_owned(), true),
            ("x".repeat(BLOCK), true),
            (vec!["word ".repeat(2_200); MOST].join("\n\n"), true),
            (vec!["word ".repeat(2_200); MOST + 1].join("\n\n"), false),
            ("x".repeat(500_000), false),
        ] {
            assert_eq!(fits(&text), whole, "{} characters", text.len());
            let cut = messages(&text).last().is_some_and(|last| last.markdown.contains("was cut"));
            assert_eq!(cut, !whole, "{} characters", text.len());
        }
        let long = format!("**first** <!channel>\n\n```\n{}\n```", "line\n".repeat(100_000));
        let opening = opening(&long);
        assert!(opening.starts_with("*first*") && opening.ends_with(IN_FILE) && opening.chars().count() < 4_000);
        assert!(opening.matches("```").count().is_multiple_of(2) && !opening.contains("<!channel>"), "{opening}");
    }

    #[test]
    fn nobody_is_rung_by_a_models_answer() {
        let body = messages("<!channel> and <@U1>")[0].blocks().to_string();
        assert!(!body.contains("<!channel>") && !body.contains("<@U1>"), "{body}");
    }
}

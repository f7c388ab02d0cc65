//! A long answer in several messages: cut between paragraphs, else between lines, else between words; a code block that
//! is cut is closed and opened again.

const FENCE: &str = "```";
const CUT: &str = "\n_(The answer is longer than this; the rest was cut.)_";

/// At most `most` messages of at most `limit` characters each. What is over is cut, and the last message says so, as it
/// does where `text` is not the `whole` answer.
pub(crate) fn split(text: &str, whole: bool, limit: usize, most: usize) -> Vec<String> {
    // Room for the fence that closes a cut code block and the one that opens its rest.
    let room = limit.saturating_sub(2 * (FENCE.len() + 1)).max(1);
    let mut parts: Vec<String> = Vec::new();
    let mut current = String::new();
    for paragraph in paragraphs(text) {
        if chars(&current) + 2 + chars(&paragraph) <= room {
            if !current.is_empty() {
                current.push_str("\n\n");
            }
            current.push_str(&paragraph);
            continue;
        }
        if !current.is_empty() {
            parts.push(std::mem::take(&mut current));
        }
        let mut pieces = pieces(&paragraph, room);
        current = pieces.pop().unwrap_or_default();
        parts.append(&mut pieces);
    }
    if !current.is_empty() {
        parts.push(current);
    }
    if parts.len() > most || !whole {
        parts.truncate(most);
        if let Some(last) = parts.last_mut() {
            shorten(last, limit.saturating_sub(chars(CUT) + FENCE.len() + 1));
            if last.matches(FENCE).count() % 2 == 1 {
                last.push('\n');
                last.push_str(FENCE);
            }
            last.push_str(CUT);
        }
    }
    parts
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn shorten(text: &mut String, limit: usize) {
    if let Some((at, _)) = text.char_indices().nth(limit) {
        let at = before_entity(text, at);
        text.truncate(at);
    }
}

/// Paragraphs, of which a code block is a part even where it has blank lines.
fn paragraphs(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if is_fence(line) {
            in_code = !in_code;
        }
        if line.trim().is_empty() && !in_code {
            if !current.is_empty() {
                found.push(std::mem::take(&mut current).join("\n"));
            }
        } else {
            current.push(line);
        }
    }
    if !current.is_empty() {
        found.push(current.join("\n"));
    }
    found
}

fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with(FENCE)
}

/// A paragraph in pieces of at most `room` characters, with the fences of its code kept in pairs.
fn pieces(paragraph: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut current = String::new();
    let mut in_code = false;
    for line in paragraph.lines().flat_map(|line| short_lines(line, room)) {
        if !current.is_empty() && chars(&current) + 1 + chars(line) > room {
            let mut piece = std::mem::take(&mut current);
            if in_code {
                piece.push('\n');
                piece.push_str(FENCE);
                current.push_str(FENCE);
            }
            pieces.push(piece);
        }
        if !current.is_empty() {
            current.push('\n');
        }
        current.push_str(line);
        if is_fence(line) {
            in_code = !in_code;
        }
    }
    if !current.is_empty() {
        pieces.push(current);
    }
    pieces
}

/// A line in pieces of at most `room` characters, cut after a blank where there is one in its second half.
fn short_lines(line: &str, room: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some((limit, _)) = rest.char_indices().nth(room) {
        let blank = rest[..limit].rfind(' ').map(|at| at + 1).filter(|at| *at > limit / 2);
        let at = blank.unwrap_or_else(|| before_entity(rest, limit));
        let (piece, after) = rest.split_at(at);
        pieces.push(piece.trim_end());
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// The place at or before `at` that is not inside of `&amp;`, `&lt;` or `&gt;`.
fn before_entity(text: &str, at: usize) -> usize {
    match text[..at].rfind('&') {
        Some(start) if start > 0 && at - start < 5 && !text[start..at].contains(';') => start,
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_is_one_message() {
        assert_eq!(split("a\n\nb", true, 100, 5), ["a\n\nb"]);
        assert_eq!(split("", true, 100, 5), Vec::<String>::new());
    }

    #[test]
    fn a_long_answer_is_cut_between_paragraphs() {
        let text = format!("{}\n\n{}\n\n{}", "a".repeat(40), "b".repeat(40), "c".repeat(40));
        let parts = split(&text, true, 100, 5);
        assert_eq!(parts, [format!("{}\n\n{}", "a".repeat(40), "b".repeat(40)), "c".repeat(40)]);
    }

    #[test]
    fn a_code_block_that_is_cut_stays_code() {
        let code: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
        let parts = split(&format!("```\n{}\n```", code.join("\n")), true, 100, 50);
        assert!(parts.len() > 1);
        for part in &parts {
            assert_eq!(part.matches(FENCE).count() % 2, 0, "{part}");
            assert!(chars(part) <= 100, "{part}");
        }
        let lines: Vec<&str> = parts.iter().flat_map(|part| part.lines()).filter(|line| !is_fence(line)).collect();
        assert_eq!(lines, code.iter().map(String::as_str).collect::<Vec<_>>(), "no line is lost or twice");
    }

    #[test]
    fn a_line_without_end_is_cut_at_words_and_not_inside_an_entity() {
        let words = "word ".repeat(100);
        for part in split(words.trim_end(), true, 60, 100) {
            assert!(chars(&part) <= 60);
            assert!(part.split(' ').all(|word| word == "word"), "{part:?}");
        }
        let entities = "&amp;".repeat(100);
        for part in split(&entities, true, 60, 100) {
            assert!(part.len() % 5 == 0 && part.starts_with('&') && part.ends_with(';'), "{part:?}");
        }
        let wide = "\u{1f600}".repeat(200);
        assert_eq!(split(&wide, true, 60, 100).concat(), wide);
    }

    #[test]
    fn what_is_over_is_cut_and_says_so() {
        let text = format!("```\n{}\n```", vec!["x".repeat(50); 100].join("\n"));
        let parts = split(&text, true, 200, 3);
        assert_eq!(parts.len(), 3);
        assert!(parts[2].ends_with(CUT.trim_start()));
        assert!(chars(&parts[2]) <= 200);
        assert_eq!(parts[2].matches(FENCE).count() % 2, 0, "{}", parts[2]);
        assert!(split("short", false, 200, 3)[0].ends_with(CUT.trim_start()));
    }
}

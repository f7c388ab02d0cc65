//! Markdown in Slack's own dialect: `*bold*`, `_italic_`, `<url|text>`, no headings, no tables. Code is left alone. What
//! Slack would read as a command (`<!channel>`, `<@U1>`) is escaped, so that a model's answer cannot ring everybody.

/// How deep emphasis and links may be nested, and how far away their end may be: an answer made to be hard to read must
/// not be hard to convert.
const DEEPEST: usize = 6;
const FARTHEST: usize = 2000;
/// How many marks are looked at that might end an emphasis.
const CANDIDATES: usize = 32;

/// Converts Markdown.
pub(crate) fn mrkdwn(markdown: &str) -> String {
    let lines: Vec<&str> = markdown.lines().collect();
    let mut out: Vec<String> = Vec::with_capacity(lines.len());
    let mut fence: Option<&str> = None;
    let mut in_table = false;
    for (index, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        if let Some(open) = fence {
            if trimmed.starts_with(open) && trimmed.trim_end().chars().all(|c| open.starts_with(c)) {
                fence = None;
                out.push("```".to_owned());
            } else {
                out.push(escape(line));
            }
            continue;
        }
        let is_row = trimmed.starts_with('|');
        // Slack has no tables: one is shown as it was typed, in columns of one width.
        if is_row && !in_table && lines.get(index + 1).is_some_and(|next| is_table_rule(next)) {
            in_table = true;
            out.push("```".to_owned());
        } else if in_table && !is_row {
            in_table = false;
            out.push("```".to_owned());
        }
        if in_table {
            out.push(escape(line));
        } else if let Some(open) = ["```", "~~~"].into_iter().find(|open| trimmed.starts_with(open)) {
            // The language's name would be shown as the first line of the code.
            fence = Some(open);
            out.push("```".to_owned());
        } else {
            out.push(block(line));
        }
    }
    if fence.is_some() || in_table {
        out.push("```".to_owned());
    }
    out.join("\n")
}

fn is_table_rule(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('|') && line.contains('-') && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

/// A line outside of code: heading, rule, list item, quotation or words.
fn block(line: &str) -> String {
    let trimmed = line.trim_start();
    let indent = &line[..line.len() - trimmed.len()];
    let hashes = trimmed.bytes().take_while(|b| *b == b'#').count();
    if (1..=6).contains(&hashes) && trimmed[hashes..].starts_with(' ') {
        let title = trimmed[hashes..].trim().trim_end_matches('#').trim_end();
        // Bold within bold would end it.
        return format!("*{}*", inline(&title.replace("**", "").replace("__", ""), 0));
    }
    let bare: String = trimmed.chars().filter(|c| !c.is_whitespace()).collect();
    if bare.len() >= 3 && ["-", "*", "_"].iter().any(|rule| bare.replace(rule, "").is_empty()) {
        return "———".to_owned();
    }
    if let Some(item) = ["- ", "* ", "+ "].iter().find_map(|bullet| trimmed.strip_prefix(bullet)) {
        return match item
            .strip_prefix("[ ] ")
            .map(|rest| ("☐", rest))
            .or_else(|| item.strip_prefix("[x] ").or_else(|| item.strip_prefix("[X] ")).map(|rest| ("☑", rest)))
        {
            Some((tick, rest)) => format!("{indent}{tick} {}", inline(rest, 0)),
            None => format!("{indent}• {}", inline(item, 0)),
        };
    }
    if trimmed.starts_with('>') {
        let words = trimmed.trim_start_matches(['>', ' ']);
        return format!("> {}", inline(words, 0));
    }
    format!("{indent}{}", inline(trimmed, 0))
}

/// Escapes what Slack reads as control characters.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Words: code, links, emphasis. Whatever does not fit a form, or is nested too deep, is taken as it stands.
fn inline(text: &str, depth: usize) -> String {
    if depth > DEEPEST {
        return escape(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let found = match c {
            '\\' => escaped(rest),
            '`' => code(rest),
            '[' | '!' => link(rest, depth),
            '<' => autolink(rest),
            '*' | '_' | '~' => emphasis(rest, before, depth),
            _ => None,
        };
        let taken = match found {
            Some((piece, length)) => {
                out.push_str(&piece);
                length
            }
            None => {
                out.push_str(&escape(c.encode_utf8(&mut [0; 4])));
                c.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    out
}

/// `\*`: the character itself.
fn escaped(text: &str) -> Option<(String, usize)> {
    let next = text[1..].chars().next().filter(char::is_ascii_punctuation)?;
    Some((escape(next.encode_utf8(&mut [0; 4])), 2))
}

/// Code between equal runs of backticks.
fn code(text: &str) -> Option<(String, usize)> {
    let run = text.bytes().take_while(|b| *b == b'`').count();
    let ticks = &text[..run];
    let mut from = run;
    while let Some(at) = text[from..].find(ticks) {
        let start = from + at;
        let length = text[start..].bytes().take_while(|b| *b == b'`').count();
        if length == run {
            return Some((format!("`{}`", escape(text[run..start].trim())), start + run));
        }
        from = start + length;
    }
    // No end: the run stands as it is.
    Some((ticks.to_owned(), run))
}

/// `[text](address)` and `![text](address)`, where the address is one that a person may follow.
fn link(text: &str, depth: usize) -> Option<(String, usize)> {
    let open = text.strip_prefix('!').unwrap_or(text).strip_prefix('[')?;
    // Most brackets are no link, and this is quicker than to look for the one that closes.
    if !open[..open.floor_char_boundary(FARTHEST)].contains("](") {
        return None;
    }
    let skipped = text.len() - open.len();
    let close = matching(open, '[', ']')?;
    let target = open[close + 1..].strip_prefix('(')?;
    let end = matching(target, '(', ')')?;
    // A title may follow the address.
    let address = target[..end].trim().split(' ').next().unwrap_or_default();
    let address = address.trim_start_matches('<').trim_end_matches('>');
    let label = &open[..close];
    let length = skipped + close + 1 + 1 + end + 1;
    let label_text = inline(label, depth + 1).replace('|', "¦");
    if !is_web(address) {
        return Some((label_text, length));
    }
    let piece = if label.is_empty() {
        format!("<{}>", safe_address(address))
    } else {
        format!("<{}|{label_text}>", safe_address(address))
    };
    Some((piece, length))
}

/// The place of the bracket that closes, where nested ones are counted.
fn matching(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().take(FARTHEST) {
        if c == open {
            depth += 1;
        } else if c == close {
            if depth == 0 {
                return Some(at);
            }
            depth -= 1;
        }
    }
    None
}

/// `<https://…>`.
fn autolink(text: &str) -> Option<(String, usize)> {
    let end = text.find('>')?;
    let address = &text[1..end];
    let bare = is_web(address) && !address.contains([' ', '<', '|']);
    bare.then(|| (format!("<{}>", safe_address(address)), end + 1))
}

fn is_web(address: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| address.starts_with(scheme))
}

fn safe_address(address: &str) -> String {
    address.replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C")
}

/// `**bold**`, `__bold__`, `*italic*`, `_italic_`, `~~struck~~`, and bold italic of three stars.
fn emphasis(text: &str, before: char, depth: usize) -> Option<(String, usize)> {
    const FORMS: &[(&str, &str, &str)] =
        &[("***", "*_", "_*"), ("**", "*", "*"), ("__", "*", "*"), ("~~", "~", "~"), ("*", "_", "_"), ("_", "_", "_")];
    let (mark, open, close) = FORMS.iter().find(|(mark, ..)| text.starts_with(mark))?;
    let literal = || Some(((*mark).to_owned(), mark.len()));
    // `snake_case` and `__init__` in a word are no emphasis.
    if mark.starts_with('_') && before.is_alphanumeric() {
        return literal();
    }
    let inner_and_after = &text[mark.len()..text.floor_char_boundary(FARTHEST)];
    if inner_and_after.starts_with([' ', '\t']) || inner_and_after.is_empty() {
        return literal();
    }
    let mut from = 0;
    for _ in 0..CANDIDATES {
        let Some(at) = inner_and_after[from..].find(mark) else { break };
        let end = from + at;
        let after = &inner_and_after[end + mark.len()..];
        let inner = &inner_and_after[..end];
        let tight = !inner.is_empty() && !inner.ends_with([' ', '\t']);
        // One star does not end at the first of two.
        let whole = mark.len() > 1 || (!after.starts_with(*mark) && !inner.ends_with(*mark));
        let at_word = !mark.starts_with('_') || !after.starts_with(char::is_alphanumeric);
        if tight && whole && at_word {
            return Some((format!("{open}{}{close}", inline(inner, depth + 1)), mark.len() + end + mark.len()));
        }
        from = end + mark.len();
    }
    literal()
}

#[cfg(test)]
mod tests {
    use super::mrkdwn;

    #[test]
    fn emphasis_and_links_are_slacks() {
        for (markdown, slack) in [
            ("**bold** and *italic* and ~~gone~~", "*bold* and _italic_ and ~gone~"),
            ("__bold__ _italic_ ***both***", "*bold* _italic_ *_both_*"),
            ("**bold with *italic* in it**", "*bold with _italic_ in it*"),
            ("snake_case_name and __init__ x", "snake_case_name and *init* x"),
            ("2 * 3 * 4 and a*b", "2 * 3 * 4 and a*b"),
            ("unclosed **bold", "unclosed **bold"),
            ("[docs](https://a.b/c?d=1&e=2)", "<https://a.b/c?d=1&amp;e=2|docs>"),
            ("[**x**](https://a.b \"title\")", "<https://a.b|*x*>"),
            ("![picture](https://a.b/c.png)", "<https://a.b/c.png|picture>"),
            ("[wiki](https://a.b/c_(d))", "<https://a.b/c_(d)|wiki>"),
            ("[no](javascript:alert(1))", "no"),
            ("<https://a.b> [1] a[0] (x)", "<https://a.b> [1] a[0] (x)"),
            (r"\*not italic\* 1\. x", "*not italic* 1. x"),
        ] {
            assert_eq!(mrkdwn(markdown), slack, "{markdown:?}");
        }
    }

    #[test]
    fn blocks_are_slacks() {
        for (markdown, slack) in [
            ("# Title\n## Sub **bold** ##", "*Title*\n*Sub bold*"),
            ("#hashtag", "#hashtag"),
            ("- a\n  * b\n+ c\n1. d", "• a\n  • b\n• c\n1. d"),
            ("- [ ] open\n- [x] done", "☐ open\n☑ done"),
            ("> quoted **x**\n>> twice", "> quoted *x*\n> twice"),
            ("---\n* * *", "———\n———"),
        ] {
            assert_eq!(mrkdwn(markdown), slack, "{markdown:?}");
        }
    }

    #[test]
    fn code_is_left_alone_but_for_what_slack_would_read() {
        assert_eq!(
            mrkdwn("```rust\nlet a = **b** & <c>;\n# no heading\n```\n**x**"),
            "```\nlet a = **b** &amp; &lt;c&gt;;\n# no heading\n```\n*x*"
        );
        assert_eq!(mrkdwn("use `**a** < b` and ``x ` y``"), "use `**a** &lt; b` and `x ` y`");
        assert_eq!(mrkdwn("```\nnever closed"), "```\nnever closed\n```");
        assert_eq!(mrkdwn("a ` b"), "a ` b");
    }

    #[test]
    fn a_table_is_shown_in_one_width() {
        assert_eq!(
            mrkdwn("| a | b |\n|---|---|\n| **1** | 2 |\nafter"),
            "```\n| a | b |\n|---|---|\n| **1** | 2 |\n```\nafter"
        );
        assert_eq!(mrkdwn("| not a table"), "| not a table");
    }

    #[test]
    fn an_answer_made_to_be_hard_is_converted_soon() {
        for hard in ["[", "*a ", "_*~~", "`", "![](", "**", "> ", "|", "<"] {
            let text = hard.repeat(20_000 / hard.len());
            let started = std::time::Instant::now();
            assert!(!mrkdwn(&text).is_empty());
            assert!(started.elapsed().as_secs() < 10, "{hard:?} took {:?}", started.elapsed());
        }
    }

    #[test]
    fn an_answer_cannot_ring_everybody() {
        assert_eq!(mrkdwn("<!channel> <@U1> a & b"), "&lt;!channel&gt; &lt;@U1&gt; a &amp; b");
        assert_eq!(mrkdwn("<https://x|<!here>"), "&lt;https://x|&lt;!here&gt;");
        assert_eq!(mrkdwn("[<!here>](https://x)"), "<https://x|&lt;!here&gt;>");
    }
}

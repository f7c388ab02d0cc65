//! Which of a server's tools an agent may see.

/// Whether `name` fits one of the patterns, in which `*` stands for any text. No patterns: everything fits.
pub(super) fn allowed(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, name))
}

fn fits(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    // Each piece between two stars is taken as early as it comes; the last one must end the name.
    let mut rest = rest;
    let mut pieces = after.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(fits("search_*", "search_web") && fits("search_*", "search_"));
        assert!(!fits("search_*", "research_web"));
        assert!(fits("*", "") && fits("*_ticket", "get_ticket") && fits("a*c*e", "abcde") && fits("**", "x"));
        assert!(!fits("a*c*e", "abcd") && !fits("a*a", "a") && !fits("get", "gets") && !fits("", "x"));
        assert!(fits("get_ticket", "get_ticket"));
        assert!(allowed(&[], "anything") && !allowed(&["a".to_owned()], "b"));
    }
}

//! Patterns in which `*` stands for any text: which tools an agent may see, and which hosts it may ask.

use std::collections::BTreeMap;

/// Whether `name` fits one of the patterns. No patterns: everything fits.
pub(super) fn allowed(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, name))
}

/// What is said about `name`: under its whole name, else under the longest pattern that it fits.
pub(super) fn said_of<'a, T>(patterns: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    let fitting = || patterns.iter().filter(|(pattern, _)| fits(pattern, name));
    patterns.get(name).or_else(|| fitting().max_by_key(|(pattern, _)| pattern.len()).map(|(_, said)| said))
}

/// Whether `name` fits the pattern.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
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

    #[test]
    fn a_whole_name_counts_before_a_pattern_and_a_long_one_before_a_short_one() {
        let said: BTreeMap<_, _> =
            [("*", 1), ("get_*", 2), ("get_ticket", 3)].map(|(name, said)| (name.to_owned(), said)).into();
        assert_eq!(said_of(&said, "get_ticket"), Some(&3));
        assert_eq!(said_of(&said, "get_page"), Some(&2));
        assert_eq!(said_of(&said, "charge"), Some(&1));
        assert_eq!(said_of(&BTreeMap::<String, u8>::new(), "charge"), None);
    }
}

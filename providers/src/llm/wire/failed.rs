//! A server's words, made fit for an error.

/// The longest message that is passed on.
const LONGEST_MESSAGE: usize = 300;

/// What a server said, on one line, shortened, and without the key that some servers repeat.
pub(crate) fn words(said: &str, key: Option<&str>) -> String {
    let mut text = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        text = text.replace(key, "[key]");
    }
    if text.chars().count() > LONGEST_MESSAGE {
        text = text.chars().take(LONGEST_MESSAGE).chain(['…']).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_short_line_without_the_key() {
        assert_eq!(words(" no such\n key: sk-canary! ", Some("sk-canary")), "no such key: [key]!");
        assert_eq!(words("as it is", Some("")), "as it is");
        assert_eq!(words(&"ü".repeat(1000), None).chars().count(), LONGEST_MESSAGE + 1);
    }
}

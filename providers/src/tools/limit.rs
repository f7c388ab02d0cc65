//! How much of an answer the model is shown.

/// The most bytes, where nobody says otherwise: about 25,000 tokens of English.
pub(super) const MAX_BYTES: usize = 100_000;

/// The text, cut at a whole character where it is longer, and then with a line that says so.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let whole = text.len();
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("\n[cut here: {whole} bytes in all, of which {end} are shown]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_whole_character_and_says_so() {
        assert_eq!(cut("short".to_owned(), 5), "short");
        assert_eq!(cut("häuser".to_owned(), 2), "h\n[cut here: 7 bytes in all, of which 1 are shown]");
    }
}

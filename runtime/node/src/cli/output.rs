//! Printing: answers to standard output, the rest to standard error; colours where they are welcome.

use std::io::Write;

use serde_json::Value;

/// An answer. A closed pipe (`| head`) is no error.
pub(super) fn answer(text: impl std::fmt::Display) {
    writeln!(anstream::stdout(), "{text}").ok();
}

/// An answer as JSON.
pub(super) fn json(value: &Value) {
    answer(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Something that is not the answer.
pub(super) fn note(text: impl std::fmt::Display) {
    writeln!(anstream::stderr(), "{text}").ok();
}

/// Rows under headings, padded to the widest.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headings.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A text of somebody else's without what could steer a terminal; its lines stay.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').collect()
}

/// The first line of a text, cut to a width.
pub(super) fn one_line(text: &str, width: usize) -> String {
    let first = text.lines().next().unwrap_or_default();
    if first.chars().count() <= width {
        return first.to_owned();
    }
    first.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".into(), "● running".into()], vec!["longer".into(), "x".into()]];
        assert_eq!(table(&["NAME", "STATUS"], &rows), "NAME    STATUS\na       ● running\nlonger  x");
        assert_eq!(one_line("abcdef\nsecond", 4), "abc…");
    }
}

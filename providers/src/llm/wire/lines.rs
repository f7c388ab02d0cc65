//! Lines out of bytes, however they were cut.

/// The longest line that is kept; a server that sends more is broken or hostile.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// A line was longer than [`LONGEST_LINE`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The state between two pieces of a stream.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Takes the next piece and returns the lines that it completes, without blank ones.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LONGEST_LINE {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                complete.extend(self.finish());
            }
        }
        Ok(complete)
    }

    /// The end of the stream: a last line without its line feed counts.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let trimmed = line.trim_ascii();
        (!trimmed.is_empty()).then(|| trimmed.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_the_same_however_they_are_cut() {
        let text = "{\"a\":1}\r\n\n{\"b\":\"ü\"}\n {\"c\":3}".as_bytes();
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut read = lines.push(&text[..cut]).unwrap();
            read.extend(lines.push(&text[cut..]).unwrap());
            read.extend(lines.finish());
            let expected: Vec<&[u8]> = vec![b"{\"a\":1}", "{\"b\":\"ü\"}".as_bytes(), b"{\"c\":3}"];
            assert_eq!(read, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; LONGEST_LINE]).is_ok());
        assert_eq!(lines.push(b"x"), Err(TooLong));
    }
}

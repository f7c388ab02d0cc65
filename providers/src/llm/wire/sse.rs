//! Server-sent events: bytes in, however they were cut, events out.

/// The longest line that is kept; a server that sends more is broken or hostile.
const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The data of one event, its lines joined.
    Data(String),
    /// Any other line: a comment, a name, an id. It says that the server is alive.
    Alive,
}

/// A line was longer than [`LONGEST_LINE`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The state between two pieces of a stream.
#[derive(Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    begun: bool,
}

impl Parser {
    /// Takes the next piece and returns the events that it completes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(&next) = rest.first() {
            if std::mem::take(&mut self.after_return) && next == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + part.len() > LONGEST_LINE {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.after_return = rest[end] == b'\r';
            self.end_line(&mut events);
            rest = &rest[end + 1..];
        }
        Ok(events)
    }

    /// The end of the stream: an event that lacks its closing blank line counts, because some servers forget it.
    pub(crate) fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut events);
        }
        events.extend(self.data.take().map(Event::Data));
        events
    }

    fn end_line(&mut self, events: &mut Vec<Event>) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if std::mem::replace(&mut self.begun, true) { &line } else { line.trim_start_matches('\u{feff}') };
        if line.is_empty() {
            events.extend(self.data.take().map(Event::Data));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field != "data" {
            events.push(Event::Alive);
            return;
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            none => *none = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        "\u{feff}: hello\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\nevent: x\nid: 7\ndata:two\n\n\rdata: [DONE]\n\n";

    fn read(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events: Vec<Event> = pieces.iter().flat_map(|piece| parser.push(piece).unwrap()).collect();
        events.extend(parser.finish());
        events
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut() {
        let whole = read(&[STREAM.as_bytes()]);
        let data = |text: &str| Event::Data(text.to_owned());
        let expected =
            vec![Event::Alive, data("{\"a\":\n\"ü\"}"), Event::Alive, Event::Alive, data("two"), data("[DONE]")];
        assert_eq!(whole, expected);
        let bytes = STREAM.as_bytes();
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let cut = read(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
                assert_eq!(cut, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_last_event_without_its_blank_line_counts() {
        assert_eq!(read(&[b"data: end"]), vec![Event::Data("end".to_owned())]);
        assert_eq!(read(&[b"data: end\n"]), vec![Event::Data("end".to_owned())]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; LONGEST_LINE]).is_ok());
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }
}

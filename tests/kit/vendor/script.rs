//! What a model says and what goes wrong, in no vendor's words.

use std::time::Duration;

use serde_json::Value;

/// A whole answer.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// What it consists of, in order.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub ending: Ending,
    /// What it cost in tokens.
    pub tokens: Tokens,
}

/// A part of an answer, in the pieces in which it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Thinking, with the vendor's signature.
    Thinking {
        /// The thoughts.
        text: String,
        /// What proves that they are the model's own.
        signature: String,
    },
    /// Text.
    Text(Vec<String>),
    /// The model asks for a tool.
    Tool {
        /// The id of the request.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments: pieces of one JSON text.
        arguments: Vec<String>,
    },
}

impl Block {
    /// The same with its pieces joined, to compare with what comes back.
    #[must_use]
    pub fn joined(&self) -> Self {
        match self.clone() {
            Self::Text(pieces) => Self::Text(vec![pieces.concat()]),
            Self::Tool { id, name, arguments } => {
                Self::Tool { id, name, arguments: vec![compact(&arguments.concat())] }
            }
            thinking @ Self::Thinking { .. } => thinking,
        }
    }
}

/// JSON text without blanks and with its keys in one order.
fn compact(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| value.to_string())
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ending {
    /// All was said.
    #[default]
    End,
    /// The model wants its tools.
    Tools,
    /// There was no more room.
    Length,
    /// The model, or a filter, declined.
    Declined,
    /// For a reason that came up after the client was written.
    Unheard,
}

/// Tokens, apart: `input` does not hold the cached ones, `output` holds the reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Fresh input.
    pub input: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Written to the cache for minutes.
    pub cache_write: u64,
    /// Written to the cache for an hour.
    pub cache_write_1h: u64,
    /// Output.
    pub output: u64,
    /// The part of it that was reasoning.
    pub reasoning: u64,
}

/// One exchange of the server: an answer, and how it goes wrong.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub(super) said: Said,
    pub(super) headers: Vec<(String, String)>,
    pub(super) delay: Duration,
    pub(super) pace: Duration,
    pub(super) strange: bool,
    pub(super) fault: Option<Fault>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An HTTP error instead of an answer.
    Refuse(Refusal),
    /// An error in the stream, after HTTP 200.
    ErrorInStream(When, Refusal),
    /// The connection breaks.
    Cut(When),
    /// The server says nothing more and keeps the connection open.
    Silent(When),
    /// The request is taken and never answered.
    Mute,
    /// HTTP 200 with something that nobody can read.
    Malformed,
    /// HTTP 200 and the end.
    Empty,
}

/// When a stream goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before its first text.
    BeforeText,
    /// After its first text.
    AfterText,
    /// After the model has stopped, before whatever follows: the count, in most dialects.
    BeforeCount,
}

/// Why a server refuses; each vendor has its own words and numbers for it, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many requests.
    RateLimited,
    /// The money is spent: waiting does not help.
    Spent,
    /// The key is wrong.
    BadKey,
    /// The key may not do this.
    Forbidden,
    /// The request is wrong.
    BadRequest,
    /// There is no such model.
    NotFound,
    /// The conversation is too long.
    TooLong,
    /// The server has too much to do.
    Overloaded,
    /// The server failed inside.
    Broken,
}

impl Exchange {
    /// The model says this.
    pub fn of(blocks: impl IntoIterator<Item = Block>) -> Self {
        let blocks: Vec<Block> = blocks.into_iter().collect();
        let wants_tools = blocks.iter().any(|block| matches!(block, Block::Tool { .. }));
        let ending = if wants_tools { Ending::Tools } else { Ending::End };
        let tokens = Tokens { input: 100, output: 10, ..Tokens::default() };
        Self {
            said: Said { blocks, ending, tokens },
            headers: Vec::new(),
            delay: Duration::ZERO,
            pace: Duration::ZERO,
            strange: false,
            fault: None,
        }
    }

    /// The model says this text, in these pieces.
    pub fn text(pieces: &[&str]) -> Self {
        Self::of([Block::Text(owned(pieces))])
    }

    /// The model asks for a tool, its arguments in these pieces.
    pub fn tool(id: &str, name: &str, arguments: &[&str]) -> Self {
        Self::of([Block::Tool { id: id.to_owned(), name: name.to_owned(), arguments: owned(arguments) }])
    }

    /// The server refuses.
    pub fn refusal(refusal: Refusal) -> Self {
        Self::text(&["never said"]).fault(Fault::Refuse(refusal))
    }

    /// Something goes wrong.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Adds a header, `retry-after` for one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Ends for this reason.
    pub fn ending(mut self, ending: Ending) -> Self {
        self.said.ending = ending;
        self
    }

    /// Costs so many tokens.
    pub fn tokens(mut self, tokens: Tokens) -> Self {
        self.said.tokens = tokens;
        self
    }

    /// Takes so long before it says anything at all.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Takes so long before each piece.
    pub fn dripping(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Sends events and fields besides that came up after the client was written.
    pub fn strange(mut self) -> Self {
        self.strange = true;
        self
    }
}

fn owned(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|piece| (*piece).to_owned()).collect()
}

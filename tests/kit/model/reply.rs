//! What the model server answers.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

/// One answer of the model server.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) content: Content,
    /// What is said before tools are asked for.
    pub(super) words: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    /// After so many words of a streamed text, a gate.
    pub(super) pauses: Vec<(usize, Gate)>,
    pub(super) tokens: (u64, u64),
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    Tools(Vec<(String, Value)>),
    /// An HTTP error instead of an answer.
    Status(u16, String),
    /// The connection ends after this much text, in the middle of the answer.
    Cut(String),
    /// An error event in a stream that began well (the status was 200).
    ErrorInStream(String),
}

impl Reply {
    /// The model says this and is done.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Content::Text(text.into()))
    }

    /// The model asks for one tool.
    pub fn tool(name: &str, arguments: Value) -> Self {
        Self::of(Content::Tools(vec![(name.to_owned(), arguments)]))
    }

    /// The model asks for several tools at once.
    pub fn tools(calls: &[(&str, Value)]) -> Self {
        Self::of(Content::Tools(calls.iter().map(|(name, input)| ((*name).to_owned(), input.clone())).collect()))
    }

    /// Says this before it asks for its tools.
    pub fn saying(mut self, words: &str) -> Self {
        words.clone_into(&mut self.words);
        self
    }

    /// The server refuses with an HTTP status and an error in OpenAI's shape.
    pub fn status(status: u16, message: &str) -> Self {
        Self::of(Content::Status(status, message.to_owned()))
    }

    /// The connection breaks after this much text.
    pub fn cut(text: &str) -> Self {
        Self::of(Content::Cut(text.to_owned()))
    }

    /// An answer with status 200 whose stream then carries an error.
    pub fn error_in_stream(message: &str) -> Self {
        Self::of(Content::ErrorInStream(message.to_owned()))
    }

    /// Adds a header, `retry-after` for one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers only after this long.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Answers only when the gate is open. Until then the call hangs: it is in flight.
    pub fn held_by(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Falls silent after so many words of a streamed text, until the gate is open.
    pub fn paused_after(mut self, words: usize, gate: &Gate) -> Self {
        self.pauses.push((words, gate.clone()));
        self
    }

    /// Says that it used so many tokens of input and output.
    pub fn tokens(mut self, input: u64, output: u64) -> Self {
        self.tokens = (input, output);
        self
    }

    fn of(content: Content) -> Self {
        let (headers, pauses, tokens) = (Vec::new(), Vec::new(), (100, 10));
        Self { content, words: String::new(), headers, delay: Duration::ZERO, gate: None, pauses, tokens }
    }
}

/// Holds calls back until it is opened.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets every call through, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when the gate is open.
    pub(super) async fn passed(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}

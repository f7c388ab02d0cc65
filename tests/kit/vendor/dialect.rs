//! How a vendor says what the script says.

use bytes::Bytes;
use serde_json::Value;

use super::{Block, Refusal, Said, Tokens};
use crate::model::Asked;

/// What every refusal says. The server puts the credentials that it was shown in the place of `reason`, because some
/// vendors repeat a key in their refusals.
pub(super) const WORDS: &str = "No, for this reason: reason.";

/// A vendor's wire. What cannot be said in it is left out, and [`Dialect::tells`] and [`Dialect::replays`] say so.
pub trait Dialect: Send + Sync + 'static {
    /// The wire's name.
    fn name(&self) -> &'static str;

    /// Whether a request is a question to the model. All others are [`Dialect::aside`]s.
    fn asks(&self, asked: &Asked) -> bool;

    /// What a stream is called in `content-type`.
    fn content_type(&self) -> &'static str;

    /// The stream of an answer. With `strange` it holds events and fields that no client knows.
    fn frames(&self, said: &Said, asked: &Asked, strange: bool) -> Vec<Frame>;

    /// An HTTP error; `None` where the vendor has none of this kind.
    fn refusal(&self, refusal: Refusal) -> Option<Refused>;

    /// The same in a stream, after HTTP 200.
    fn error_frame(&self, refusal: Refusal) -> Option<Bytes>;

    /// A piece of a stream that no client can read.
    fn garbage(&self) -> Bytes;

    /// The answer to what is no question: a count of tokens (`tokens` is what the test wants counted), a list of models.
    fn aside(&self, asked: &Asked, tokens: u64) -> Option<(u16, Value)>;

    /// What of these tokens the wire can tell.
    fn tells(&self, tokens: Tokens) -> Tokens {
        tokens
    }

    /// Whether it has a way to say that the model declined.
    fn declines(&self) -> bool {
        true
    }

    /// Whether thinking is sent, and wanted back.
    fn replays(&self) -> bool;

    /// What the client sent, in no vendor's words.
    fn heard(&self, asked: &Asked) -> Heard;
}

/// A piece of a stream.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether it holds text of the answer.
    pub text: bool,
    /// Whether it says why the model stopped.
    pub end: bool,
}

impl Frame {
    /// A piece without text.
    pub fn other(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), text: false, end: false }
    }

    /// A piece that says why the model stopped.
    pub fn end(bytes: impl Into<Bytes>) -> Self {
        Self { end: true, ..Self::other(bytes) }
    }

    /// A piece with text.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), text: true, end: false }
    }
}

/// An HTTP error.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The status.
    pub status: u16,
    /// Headers besides the content type.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Value,
}

impl Refused {
    /// One without headers of its own.
    pub fn new(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body }
    }
}

/// What a client sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The system prompt.
    pub system: String,
    /// What was last said by the person.
    pub question: String,
    /// The tools on offer.
    pub tools: Vec<String>,
    /// The model's own last turn, as it came back.
    pub replayed: Vec<Block>,
    /// The tools' answers, with the id of the request, oldest first.
    pub results: Vec<(String, String)>,
    /// At most so many tokens of answer.
    pub limit: Option<u64>,
    /// How many pictures were sent.
    pub pictures: usize,
    /// The schema that the answer must fit.
    pub schema: Option<Value>,
}

/// Content is a text, or a list of parts of which some have text.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// A list, or none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A text, or none.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

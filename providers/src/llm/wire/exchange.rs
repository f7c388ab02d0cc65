//! One HTTP exchange, under the limit of silence: from the request to the headers, and between any two pieces.

use std::time::Duration;

use bytes::Bytes;
use greenroom_contract::port::llm::Error;
use reqwest::{RequestBuilder, Response, Url};

use crate::llm::http;

/// The longest body that is kept as a whole.
const LONGEST_WHOLE: usize = 16 * 1024 * 1024;
/// The longest stream, of which a line at a time is kept: events carry a few hundred bytes beside each word, and an answer may
/// have 128,000 tokens. It is an end to a server that has none.
const LONGEST_STREAM: usize = 256 * 1024 * 1024;
/// How long the end of the body is waited for after the last event, so that the connection can be used again.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// An exchange with a provider. Dropping what it returns closes the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The provider's registry name, for errors.
    pub(crate) provider: &'a str,
    /// How long it may be silent.
    pub(crate) silence: Duration,
}

/// A response's body, piece by piece.
pub(crate) struct Body<'a> {
    exchange: Exchange<'a>,
    response: Response,
    read: usize,
}

impl<'a> Exchange<'a> {
    /// Sends a request to `server` and returns the response with its headers, whatever its status.
    pub(crate) async fn send(&self, request: RequestBuilder, server: &Url) -> Result<Response, Error> {
        self.within(request.send()).await?.map_err(|error| {
            self.unavailable(format!("cannot reach {}: {}", http::shown(server), http::describe(error)))
        })
    }

    /// The body of a response.
    pub(crate) fn body(&self, response: Response) -> Body<'a> {
        Body { exchange: *self, response, read: 0 }
    }

    /// What failed before an answer had begun, and may go well another time.
    pub(crate) fn unavailable(&self, message: impl Into<String>) -> Error {
        Error::Unavailable { provider: self.provider.to_owned(), message: message.into() }
    }

    /// What broke off within an answer.
    pub(crate) fn interrupted(&self, message: impl Into<String>) -> Error {
        Error::Interrupted { provider: self.provider.to_owned(), message: message.into() }
    }

    async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, Error> {
        let silent = |_| Error::Timeout { provider: self.provider.to_owned(), after: self.silence };
        tokio::time::timeout(self.silence, wait).await.map_err(silent)
    }
}

impl Body<'_> {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = self.exchange.within(self.response.chunk()).await?;
        let piece = piece.map_err(|error| self.exchange.interrupted(http::describe(error)))?;
        self.read += piece.as_ref().map_or(0, Bytes::len);
        match self.read > LONGEST_STREAM {
            true => Err(self.exchange.interrupted("its answer is too large")),
            false => Ok(piece),
        }
    }

    /// The first pieces, until something else than blanks has come. Fails when nothing comes.
    pub(crate) async fn begin(&mut self) -> Result<Bytes, Error> {
        let mut first = Bytes::new();
        while first.trim_ascii_start().is_empty() {
            match self.next().await? {
                Some(piece) if first.is_empty() => first = piece,
                Some(piece) => first = [first, piece].concat().into(),
                None => return Err(self.exchange.unavailable("it answered with nothing")),
            }
        }
        Ok(first)
    }

    /// All of it, beginning with `first`.
    pub(crate) async fn rest(mut self, first: Bytes) -> Result<Vec<u8>, Error> {
        let mut whole = first.to_vec();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > LONGEST_WHOLE {
                return Err(self.exchange.interrupted("its answer is too large"));
            }
        }
        Ok(whole)
    }

    /// Reads what little may follow the last event, and gives up soon.
    pub(crate) async fn drain(&mut self) {
        let end = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        if tokio::time::timeout(LAST_BYTES, end).await.is_err() {
            tracing::trace!("The model's server keeps its stream open after the last event.");
        }
    }
}

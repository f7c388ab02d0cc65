//! One HTTP exchange, under the limit of silence: from the request to the headers, and between any two pieces.

use std::time::Duration;

use bytes::Bytes;
use greenroom_contract::port::llm::{Chunk, Error, Request};
use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::Value;

use super::{
    Options,
    answer::Answer,
    failure::{self, Circumstances, Said},
    retry_after::retry_after,
    sse::{Event, Parser},
};
use crate::llm::{generator::Emitter, http};

/// The longest body that is read, streamed or not: far beyond any answer, and an end to a server that has none.
const LONGEST_BODY: usize = 16 * 1024 * 1024;
/// How long the end of the body is waited for after the last event, so that the connection can be used again.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// One exchange with a server.
pub(super) struct Call<'a> {
    pub(super) http: &'a Client,
    pub(super) options: &'a Options,
    pub(super) silence: Duration,
}

/// A response's body, piece by piece.
struct Body<'a> {
    call: &'a Call<'a>,
    response: Response,
    read: usize,
}

impl Call<'_> {
    /// Asks, hands text on as it comes, and returns what was said.
    pub(super) async fn ask(&self, request: &Request, json: &Value, out: &Emitter) -> Result<Answer, Error> {
        let response = self.send(request, json).await?;
        let mut body = Body { call: self, response, read: 0 };
        let mut first = Vec::new();
        // Servers that do not stream answer with one JSON object, some under the name of a stream: its first character
        // tells.
        while first.trim_ascii_start().is_empty() {
            match body.next().await? {
                Some(piece) => first.extend_from_slice(&piece),
                None => return Err(self.unavailable("it answered with nothing".to_owned())),
            }
        }
        if first.trim_ascii_start().starts_with(b"{") {
            let whole = body.rest(first).await?;
            return self.whole(&whole, out).await;
        }
        let mut answer = Answer::default();
        match self.events(&mut body, first, &mut answer, out).await {
            Ok(()) => Ok(answer),
            // What the model had said was all: only the usage or the closing mark is missing, which we can do without.
            Err(Error::Timeout { .. } | Error::Interrupted { .. }) if answer.finished() => Ok(answer),
            Err(error) => Err(error),
        }
    }

    async fn send(&self, request: &Request, json: &Value) -> Result<Response, Error> {
        let mut post = self.http.post(self.options.url("chat/completions")).json(json);
        if let Some(authorization) = &self.options.authorization {
            post = post.header(AUTHORIZATION, authorization.clone());
        }
        if let Ok(key) = HeaderValue::from_str(&request.idempotency_key) {
            post = post.header("idempotency-key", key);
        }
        let response = self.within(post.send()).await?.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, response: Response) -> Error {
        let status: StatusCode = response.status();
        let wait = retry_after(response.headers(), Timestamp::now());
        // The status says enough if the body does not come.
        let body = Body { call: self, response, read: 0 }.rest(Vec::new()).await.unwrap_or_default();
        failure::of_response(&self.circumstances(), status.as_u16(), wait, &Said::read_bytes(&body))
    }

    async fn whole(&self, body: &[u8], out: &Emitter) -> Result<Answer, Error> {
        let json: Value = serde_json::from_slice(body)
            .map_err(|error| self.interrupted(format!("its answer is no JSON ({error})")))?;
        self.check(&json)?;
        let mut answer = Answer::default();
        let text = answer.take(json);
        if !answer.begun() {
            return Err(self.unavailable("its answer has no choices".to_owned()));
        }
        if !text.is_empty() {
            out.emit(Chunk::Text(text)).await;
        }
        Ok(answer)
    }

    /// Reads events until the answer is whole.
    async fn events(
        &self,
        body: &mut Body<'_>,
        first: Vec<u8>,
        answer: &mut Answer,
        out: &Emitter,
    ) -> Result<(), Error> {
        let mut parser = Parser::default();
        let mut piece = Some(Bytes::from(first));
        loop {
            let events = match &piece {
                Some(bytes) => {
                    parser.push(bytes).map_err(|_| self.interrupted("it sent an endless line".to_owned()))?
                }
                None => parser.finish(),
            };
            let mut alive = false;
            for event in events {
                let data = match event {
                    Event::Data(data) => data,
                    Event::Alive => {
                        alive = true;
                        continue;
                    }
                };
                if data.trim() == "[DONE]" {
                    body.drain().await;
                    return if answer.begun() { Ok(()) } else { Err(self.cut(answer)) };
                }
                let json: Value = serde_json::from_str(&data)
                    .map_err(|error| self.interrupted(format!("it sent an event that is no JSON ({error})")))?;
                self.check(&json)?;
                let text = answer.take(json);
                match text.is_empty() {
                    true => alive = true,
                    false => out.emit(Chunk::Text(text)).await,
                }
            }
            if alive {
                out.emit(Chunk::Progress).await;
            }
            if piece.is_none() {
                return if answer.finished() { Ok(()) } else { Err(self.cut(answer)) };
            }
            piece = body.next().await?;
        }
    }

    /// An error object may come after HTTP 200, in an event or as the whole answer.
    fn check(&self, json: &Value) -> Result<(), Error> {
        match json.get("error") {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(failure::of_stream(&self.circumstances(), &Said::read(json))),
        }
    }

    fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            provider: self.provider(),
            key_name: &self.options.key_name,
            sent_key: self.options.authorization.as_ref().and_then(|value| value.to_str().ok()),
        }
    }

    fn provider(&self) -> &'static str {
        self.options.dialect.provider()
    }

    async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, Error> {
        let silent = |_| Error::Timeout { provider: self.provider().to_owned(), after: self.silence };
        tokio::time::timeout(self.silence, wait).await.map_err(silent)
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        self.unavailable(format!("cannot reach {}: {}", self.options.shown(), http::describe(error)))
    }

    fn unavailable(&self, message: String) -> Error {
        Error::Unavailable { provider: self.provider().to_owned(), message }
    }

    fn interrupted(&self, message: String) -> Error {
        Error::Interrupted { provider: self.provider().to_owned(), message }
    }

    /// The error of a stream that ended too early: before the answer had begun, or within it.
    fn cut(&self, answer: &Answer) -> Error {
        match answer.begun() {
            true => self.interrupted("the stream ended before the answer did".to_owned()),
            false => self.unavailable("it closed the stream without an answer".to_owned()),
        }
    }
}

impl Body<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let piece = self.call.within(self.response.chunk()).await?;
        let piece = piece.map_err(|error| self.call.interrupted(http::describe(error)))?;
        self.read += piece.as_ref().map_or(0, Bytes::len);
        match self.read > LONGEST_BODY {
            true => Err(self.call.interrupted("its answer is too large".to_owned())),
            false => Ok(piece),
        }
    }

    /// All of it, beginning with `first`.
    async fn rest(mut self, first: Vec<u8>) -> Result<Vec<u8>, Error> {
        let mut whole = first;
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// Reads what little may follow the last event, and gives up soon.
    async fn drain(&mut self) {
        let end = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        if tokio::time::timeout(LAST_BYTES, end).await.is_err() {
            tracing::trace!("The model's server keeps its stream open after the last event.");
        }
    }
}

//! One exchange.

use bytes::Bytes;
use greenroom_contract::port::llm::{Chunk, Error, Request};
use jiff::Timestamp;
use reqwest::{
    Client, Response,
    header::{HeaderMap, HeaderValue},
};
use serde_json::Value;

use super::{
    Options,
    answer::Answer,
    failure::{self, Advice, Said},
    model::PROVIDER,
    request,
};
use crate::llm::{
    generator::Emitter,
    limits::Account,
    wire::{Body, Event, Exchange, Parser, retry_after},
};

/// One exchange with the API.
pub(super) struct Call<'a> {
    http: &'a Client,
    options: &'a Options,
    account: &'a Account,
    exchange: Exchange<'a>,
}

impl<'a> Call<'a> {
    /// An exchange that may be silent for as long as the request allows.
    pub(super) fn new(http: &'a Client, options: &'a Options, account: &'a Account, request: &Request) -> Self {
        Self { http, options, account, exchange: Exchange { provider: PROVIDER, silence: request.silence } }
    }

    /// Asks, hands text on as it comes, and returns what was said.
    pub(super) async fn ask(&self, request: &Request, out: &Emitter) -> Result<Answer, Error> {
        let response = self.post("messages", &request::body(self.options, request), &request.idempotency_key).await?;
        // The headers are a sign of life: from here the silence is counted anew.
        out.emit(Chunk::Progress).await;
        let mut body = self.exchange.body(response);
        // A gateway that does not stream answers with one JSON object: its first character tells.
        let first = body.begin().await?;
        let mut answer = Answer::default();
        if first.trim_ascii_start().starts_with(b"{") {
            let text = self.take(&mut answer, &body.rest(first).await?)?;
            if !answer.begun() {
                return Err(self.exchange.unavailable("its answer is no message"));
            }
            if !text.is_empty() {
                out.emit(Chunk::Text(text)).await;
            }
            return Ok(answer);
        }
        match self.events(&mut body, first, &mut answer, out).await {
            Ok(()) => Ok(answer),
            // What the model had said was all, and it was counted: only the closing mark is missing.
            Err(Error::Timeout { .. } | Error::Interrupted { .. }) if answer.finished() => Ok(answer),
            Err(error) => Err(error),
        }
    }

    /// How many tokens a request has, exactly; `None` where a gateway does not count.
    pub(super) async fn count(&self, request: &Request) -> Result<Option<u64>, Error> {
        let json = Value::Object(request::countable(self.options, request));
        let response = self.send("messages/count_tokens", &json, "").await?;
        match response.status().as_u16() {
            404 | 405 | 501 => return Ok(None),
            200..300 => {}
            _ => return Err(self.refusal(response).await),
        }
        let mut body = self.exchange.body(response);
        let first = body.begin().await?;
        let answer: Value = serde_json::from_slice(&body.rest(first).await?).unwrap_or_default();
        Ok(answer["input_tokens"].as_u64())
    }

    async fn post(&self, path: &str, json: &Value, key: &str) -> Result<Response, Error> {
        let response = self.send(path, json, key).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.refusal(response).await),
        }
    }

    async fn send(&self, path: &str, json: &Value, key: &str) -> Result<Response, Error> {
        let url = self.options.url(path);
        let mut post =
            self.http.post(url.clone()).json(json).header("anthropic-version", self.options.version.as_str());
        if let Some((name, value)) = &self.options.credentials {
            post = post.header(name, value.clone());
        }
        if !self.options.betas.is_empty() {
            post = post.header("anthropic-beta", self.options.betas.join(","));
        }
        if let Ok(key) = HeaderValue::from_str(key)
            && !key.is_empty()
        {
            post = post.header("idempotency-key", key);
        }
        let response = self.exchange.send(post, &url).await?;
        self.account.heard(response.headers());
        Ok(response)
    }

    async fn refusal(&self, response: Response) -> Error {
        let status = response.status().as_u16();
        let advice = advice(response.headers());
        // The status says enough if the body does not come.
        let body = self.exchange.body(response).rest(Bytes::new()).await.unwrap_or_default();
        failure::of_response(self.options, status, advice, &Said::read_bytes(&body))
    }

    /// Reads events until the answer is whole.
    async fn events(&self, body: &mut Body<'_>, first: Bytes, answer: &mut Answer, out: &Emitter) -> Result<(), Error> {
        let mut parser = Parser::default();
        let mut piece = Some(first);
        loop {
            let events = match &piece {
                Some(bytes) => parser.push(bytes).map_err(|_| self.exchange.interrupted("it sent an endless line"))?,
                None => parser.finish(),
            };
            let mut alive = false;
            for event in events {
                let Event::Data(data) = event else {
                    alive = true;
                    continue;
                };
                let text = self.take(answer, data.as_bytes())?;
                match text.is_empty() {
                    true => alive = true,
                    false => out.emit(Chunk::Text(text)).await,
                }
                if answer.is_last() {
                    body.drain().await;
                    return Ok(());
                }
            }
            if alive {
                out.emit(Chunk::Progress).await;
            }
            if piece.is_none() {
                return match answer.begun() {
                    true => Err(self.exchange.interrupted("the stream ended before the answer did")),
                    false => Err(self.exchange.unavailable("it closed the stream without an answer")),
                };
            }
            piece = body.next().await?;
        }
    }

    /// Takes an event, which may be an error although the status was 200.
    fn take(&self, answer: &mut Answer, json: &[u8]) -> Result<String, Error> {
        let event: Value = serde_json::from_slice(json)
            .map_err(|error| self.exchange.interrupted(format!("it sent an event that is no JSON ({error})")))?;
        match event["type"] == "error" || event["error"].is_object() {
            true => Err(failure::of_stream(self.options, &Said::read(&event))),
            false => Ok(answer.take(&event)),
        }
    }
}

fn advice(headers: &HeaderMap) -> Advice {
    let should_retry = match headers.get("x-should-retry").map(HeaderValue::as_bytes) {
        Some(b"true") => Some(true),
        Some(b"false") => Some(false),
        _ => None,
    };
    Advice { retry_after: retry_after(headers, Timestamp::now()), should_retry }
}

//! One exchange with Ollama: a JSON object on each line.

use bytes::Bytes;
use greenroom_contract::port::llm::{Chunk, Error, Request};
use jiff::Timestamp;
use reqwest::{Client, header::AUTHORIZATION};
use serde_json::Value;

use super::{
    Options,
    answer::{Answer, Line, Whole},
    failure,
    model::PROVIDER,
    request::body,
};
use crate::llm::{
    estimate,
    generator::Emitter,
    wire::{Body, Exchange, Lines, retry_after},
};

/// Asks, hands text on as it comes, and returns what was said.
pub(super) async fn ask(http: &Client, options: &Options, request: &Request, out: &Emitter) -> Result<Whole, Error> {
    let exchange = Exchange { provider: PROVIDER, silence: request.silence };
    let url = options.url("chat");
    let mut post = http.post(url.clone()).json(&body(options, request));
    if let Some(authorization) = &options.authorization {
        post = post.header(AUTHORIZATION, authorization.clone());
    }
    let response = exchange.send(post, &url).await?;
    options.account.heard(response.headers());
    let status = response.status();
    if !status.is_success() {
        let wait = retry_after(response.headers(), Timestamp::now());
        // The status says enough if the body does not come.
        let body = exchange.body(response).rest(Bytes::new()).await.unwrap_or_default();
        return Err(failure::of(options, status.as_u16(), wait, &failure::said(&body)));
    }
    // The headers are a sign of life: from here the silence is counted anew.
    out.emit(Chunk::Progress).await;
    let mut answer = Answer::default();
    match lines(options, &exchange, exchange.body(response), &mut answer, out).await {
        Ok(()) => {}
        Err(Error::Timeout { .. } | Error::Interrupted { .. }) if answer.finished() => {}
        Err(error) => return Err(error),
    }
    answer.finish(&request.idempotency_key, || estimate::input(request).input)
}

/// Reads lines until the last one.
async fn lines(
    options: &Options,
    exchange: &Exchange<'_>,
    mut body: Body<'_>,
    answer: &mut Answer,
    out: &Emitter,
) -> Result<(), Error> {
    let mut lines = Lines::default();
    let mut piece = Some(body.begin().await?);
    loop {
        let complete = match &piece {
            Some(bytes) => lines.push(bytes).map_err(|_| exchange.interrupted("it sent an endless line"))?,
            None => lines.finish().into_iter().collect(),
        };
        let mut alive = false;
        for line in complete {
            let json: Value = serde_json::from_slice(&line)
                .map_err(|error| exchange.interrupted(format!("it sent a line that is no JSON ({error})")))?;
            if json.get("error").is_some_and(|error| !error.is_null()) {
                return Err(failure::of(options, 500, None, &failure::said(&line)));
            }
            let line: Line = serde_json::from_value(json).unwrap_or_default();
            let text = answer.take(line);
            match text.is_empty() {
                true => alive = true,
                false => out.emit(Chunk::Text(text)).await,
            }
            if answer.finished() {
                body.drain().await;
                return Ok(());
            }
        }
        if alive {
            out.emit(Chunk::Progress).await;
        }
        if piece.is_none() {
            return Err(match answer.begun() {
                true => exchange.interrupted("the stream ended before the answer did"),
                false => exchange.unavailable("it closed the stream without an answer"),
            });
        }
        piece = body.next().await?;
    }
}

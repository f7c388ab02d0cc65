//! Listening to an answer, streamed or not: the same for every endpoint of this family.

use bytes::Bytes;
use greenroom_contract::port::llm::{Chunk, Error};
use reqwest::Response;
use serde_json::Value;

use super::{
    door::Door,
    failure::{self, Said},
};
use crate::llm::{
    generator::Emitter,
    wire::{Body, Event, Parser},
};

/// An answer that comes event by event.
pub(super) trait Answer: Default {
    /// Takes one event, or the whole body of an answer that was not streamed. Returns the new text; an empty one means
    /// that the model showed life without text. Fails with the server's account when the event says that it failed.
    fn take(&mut self, event: Value) -> Result<String, Said>;
    /// Whether anything of an answer has come.
    fn begun(&self) -> bool;
    /// Whether the server said why the model stopped: the answer is whole, if the stream breaks now.
    fn finished(&self) -> bool;
    /// Whether nothing can follow.
    fn is_last(&self) -> bool;
}

/// Hands text on as it comes, and returns what was said.
pub(super) async fn listen<A: Answer>(door: &Door<'_>, response: Response, out: &Emitter) -> Result<A, Error> {
    // The headers are a sign of life: from here the silence is counted anew.
    out.emit(Chunk::Progress).await;
    let mut body = door.exchange.body(response);
    // Servers that do not stream answer with one JSON object, some under the name of a stream: its first character tells.
    let first = body.begin().await?;
    if first.trim_ascii_start().starts_with(b"{") {
        return whole(door, &body.rest(first).await?, out).await;
    }
    let mut answer = A::default();
    match events(door, &mut body, first, &mut answer, out).await {
        Ok(()) => Ok(answer),
        // What the model had said was all: only the usage or the closing mark is missing, which we can do without.
        Err(Error::Timeout { .. } | Error::Interrupted { .. }) if answer.finished() => Ok(answer),
        Err(error) => Err(error),
    }
}

async fn whole<A: Answer>(door: &Door<'_>, body: &[u8], out: &Emitter) -> Result<A, Error> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| door.exchange.interrupted(format!("its answer is no JSON ({error})")))?;
    let mut answer = A::default();
    let text = take(door, &mut answer, json)?;
    if !answer.begun() {
        return Err(door.exchange.unavailable("its answer has no choices"));
    }
    if !text.is_empty() {
        out.emit(Chunk::Text(text)).await;
    }
    Ok(answer)
}

/// Reads events until the answer is whole.
async fn events<A: Answer>(
    door: &Door<'_>,
    body: &mut Body<'_>,
    first: Bytes,
    answer: &mut A,
    out: &Emitter,
) -> Result<(), Error> {
    let mut parser = Parser::default();
    let mut piece = Some(first);
    loop {
        let events = match &piece {
            Some(bytes) => parser.push(bytes).map_err(|_| door.exchange.interrupted("it sent an endless line"))?,
            None => parser.finish(),
        };
        let mut alive = false;
        for event in events {
            let Event::Data(data) = event else {
                alive = true;
                continue;
            };
            if data.trim() == "[DONE]" {
                body.drain().await;
                return if answer.begun() { Ok(()) } else { Err(cut(door, answer)) };
            }
            let json: Value = serde_json::from_str(&data)
                .map_err(|error| door.exchange.interrupted(format!("it sent an event that is no JSON ({error})")))?;
            let text = take(door, answer, json)?;
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
            return if answer.finished() { Ok(()) } else { Err(cut(door, answer)) };
        }
        piece = body.next().await?;
    }
}

/// An error object may come after HTTP 200, in an event or as the whole answer.
fn take<A: Answer>(door: &Door<'_>, answer: &mut A, json: Value) -> Result<String, Error> {
    let said = match json.get("error") {
        None | Some(Value::Null) => match answer.take(json) {
            Ok(text) => return Ok(text),
            Err(said) => said,
        },
        Some(_) => Said::read(&json),
    };
    Err(failure::of_stream(&door.circumstances(), &said))
}

/// The error of a stream that ended too early: before the answer had begun, or within it.
fn cut<A: Answer>(door: &Door<'_>, answer: &A) -> Error {
    match answer.begun() {
        true => door.exchange.interrupted("the stream ended before the answer did"),
        false => door.exchange.unavailable("it closed the stream without an answer"),
    }
}

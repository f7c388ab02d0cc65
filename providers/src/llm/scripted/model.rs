//! The provider that plays a script.

use std::time::{Duration, Instant};

use greenroom_config::spec::ScriptRule;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Part, Request, Response, Stop, Usage},
};

use super::rules::{Act, act, choose, question};
use crate::{
    llm::{
        estimate,
        generator::{Emitter, generate},
    },
    pricing,
};

const PROVIDER: &str = "scripted";
const MODEL: &str = "script";
/// An answer comes in about so many pieces, so that what shows streams can be tried.
const PIECES: usize = 4;

/// Plays the rules of a script. It answers the same request the same way, costs nothing, and says of its token counts
/// that they are estimates.
pub(crate) struct Scripted {
    script: Vec<ScriptRule>,
}

impl Scripted {
    /// A stand-in with this script; an empty one says what it is.
    pub(crate) fn new(script: Vec<ScriptRule>) -> Self {
        Self { script }
    }

    async fn play(&self, request: Request, out: &Emitter) -> Result<Response, Error> {
        let question = question(&request.messages);
        let rule = choose(&self.script, &question);
        if let Some(delay) = rule.and_then(|rule| rule.delay) {
            out.emit(Chunk::Progress).await;
            // A stand-in is silent for no longer than a provider may be, so that a hanging model can be tried too.
            tokio::time::sleep(delay.0.min(request.silence)).await;
            if delay.0 > request.silence {
                return Err(Error::Timeout { provider: PROVIDER.to_owned(), after: request.silence });
            }
        }
        if let Some(spin) = rule.and_then(|rule| rule.spin) {
            hold_the_thread(spin.0);
        }
        let (parts, stop) = match act(rule, &question, &request) {
            Act::Say(text) => {
                for piece in pieces(&text) {
                    out.emit(Chunk::Text(piece.to_owned())).await;
                }
                (vec![Part::Text { text }], Stop::EndTurn)
            }
            Act::Ask(ask) => (vec![Part::ToolUse(ask)], Stop::ToolUse),
            Act::Fail(message) => return Err(Error::Unavailable { provider: PROVIDER.to_owned(), message }),
            #[expect(
                clippy::panic,
                reason = "it exists to try what a panicking agent does to itself, and to nobody else"
            )]
            Act::Panic(message) => std::panic::panic_any(message),
        };
        let usage = Usage { output: estimate::output(&parts), ..estimate::input(&request) };
        let cost = self.cost(&usage);
        Ok(Response { parts, stop, usage, model: MODEL.to_owned(), provider: PROVIDER.to_owned(), cost })
    }
}

impl Llm for Scripted {
    fn provider(&self) -> &str {
        PROVIDER
    }

    fn model(&self) -> &str {
        MODEL
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        generate(|out| async move { self.play(request, &out).await })
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        let usage = estimate::input(request);
        Box::pin(async move { Ok(usage) })
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        pricing::price(PROVIDER, MODEL, usage)
    }
}

/// What no runtime can interrupt. The other threads of the machine get their turn all the same.
fn hold_the_thread(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::thread::yield_now();
    }
}

/// Cuts a text into a few pieces between words.
fn pieces(text: &str) -> Vec<&str> {
    let least = text.len().div_ceil(PIECES).max(1);
    let mut pieces = Vec::with_capacity(PIECES);
    let mut start = 0;
    for (at, character) in text.char_indices() {
        if at - start >= least && character == ' ' {
            pieces.push(&text[start..at]);
            start = at;
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};
    use serde_json::json;

    use super::*;
    use crate::llm::testing::request;

    fn scripted(rule: serde_json::Value) -> Scripted {
        Scripted::new(vec![serde_json::from_value(rule).unwrap()])
    }

    #[tokio::test]
    async fn an_answer_streams_in_pieces_that_make_the_whole() {
        let text = "Your order left the house this morning and is with you by noon.";
        let scripted = scripted(json!({ "reply": text }));
        let chunks: Vec<_> = scripted.stream(request("where")).map(Result::unwrap).collect().await;
        let streamed: String = chunks
            .iter()
            .filter_map(|chunk| if let Chunk::Text(text) = chunk { Some(text.as_str()) } else { None })
            .collect();
        let Some(Chunk::Done(response)) = chunks.last() else { panic!("the last chunk is the answer") };
        assert!(chunks.len() > 3);
        assert_eq!((streamed.as_str(), response.text().as_str()), (text, text));
        assert_eq!(response.cost, Some(MicroUsd(0)));
        assert!(response.usage.estimated && response.usage.input > 0 && response.usage.output > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_is_taken_after_a_sign_of_life_and_ends_at_the_limit_of_silence() {
        let started = tokio::time::Instant::now();
        let answer = scripted(json!({ "delay": "3s", "reply": "at last" })).complete(request("?")).await.unwrap();
        assert_eq!((answer.text().as_str(), started.elapsed()), ("at last", Duration::from_secs(3)));

        let hanging = scripted(json!({ "delay": "1h", "reply": "never" }));
        let mut chunks = hanging.stream(request("?"));
        assert_eq!(chunks.next().await.unwrap().unwrap(), Chunk::Progress);
        assert!(matches!(chunks.next().await, Some(Err(Error::Timeout { .. }))));
    }

    #[tokio::test]
    async fn a_spin_gives_the_thread_back_only_at_its_end() {
        let spinning = scripted(json!({ "spin": "50ms", "reply": "dizzy" }));
        let started = Instant::now();
        let answer = spinning.complete(request("?")).now_or_never().map(Result::unwrap);
        assert!(started.elapsed() >= Duration::from_millis(50));
        assert!(answer.is_none_or(|answer| answer.text() == "dizzy"));
    }

    #[tokio::test]
    async fn errors_and_panics_are_real() {
        let failing = scripted(json!({ "error": "the moon is down" })).complete(request("?")).await.unwrap_err();
        assert!(matches!(failing, Error::Unavailable { message, .. } if message == "the moon is down"));
        let panicking = scripted(json!({ "panic": "boom" }));
        let caught = std::panic::AssertUnwindSafe(panicking.complete(request("?"))).catch_unwind().await.unwrap_err();
        assert_eq!(caught.downcast_ref::<String>().unwrap(), "boom");
    }
}

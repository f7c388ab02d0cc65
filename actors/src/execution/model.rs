//! One model call of an execution, from the request as it fits to the whole answer.

use std::time::Duration;

use futures::StreamExt;
use greenroom_contract::{
    MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Response, Usage},
};

use super::{
    progress::Progress,
    window::{fit, room, weight},
};

/// So often a conversation that the provider finds too long is halved and sent again. Such a refusal costs nothing.
const HALVINGS: u32 = 2;

/// A call that failed, with what it used if its answer had begun, and the price.
pub(super) struct Broken {
    pub(super) error: Error,
    pub(super) usage: Option<Usage>,
    pub(super) cost: Option<MicroUsd>,
}

/// Asks a model for as much of the conversation as fits into its context.
pub(super) async fn ask(
    llm: &dyn Llm,
    request: Request,
    silence: Duration,
    progress: &Progress,
) -> Result<Response, Broken> {
    let mut request = match llm.context_window() {
        Some(window) => {
            let room = room(window, request.max_tokens);
            fit(request, room)
        }
        None => request,
    };
    for _ in 0..HALVINGS {
        match hear(llm, &request, silence, progress).await {
            Err(Broken { error: error @ Error::ContextTooLong { .. }, usage: None, cost }) => {
                let before = weight(&request);
                request = fit(request, before / 2);
                if weight(&request) == before {
                    return Err(Broken { error, usage: None, cost });
                }
            }
            other => return other,
        }
    }
    hear(llm, &request, silence, progress).await
}

/// Hears the whole answer; each chunk is a sign of life.
async fn hear(llm: &dyn Llm, request: &Request, silence: Duration, progress: &Progress) -> Result<Response, Broken> {
    let mut heard = 0;
    let mut chunks = llm.stream(request.clone());
    let error = loop {
        match tokio::time::timeout(silence, chunks.next()).await {
            Ok(Some(Ok(Chunk::Done(response)))) => return Ok(*response),
            Ok(Some(Ok(Chunk::Text(text)))) => {
                heard += text.len() as u64;
                progress.say(&text);
                progress.beat(silence);
            }
            Ok(Some(Ok(Chunk::Progress))) => progress.beat(silence),
            Ok(Some(Err(error))) => break error,
            Ok(None) => {
                let message = "it ended without a last chunk".to_owned();
                break Error::Interrupted { provider: llm.provider().to_owned(), message };
            }
            Err(_) => break Error::Timeout { provider: llm.provider().to_owned(), after: silence },
        }
    };
    if let Error::Misformed { usage, cost, .. } = &error {
        let (usage, cost) = (Some(**usage), *cost);
        return Err(Broken { error, usage, cost });
    }
    // An answer that broke off is paid as far as it came; nobody says how far that was.
    let usage = (heard > 0).then(|| Usage {
        input: weight(request),
        output: heard.div_ceil(3),
        estimated: true,
        ..Usage::default()
    });
    let cost = usage.and_then(|usage| llm.cost(&usage));
    Err(Broken { error, usage, cost })
}

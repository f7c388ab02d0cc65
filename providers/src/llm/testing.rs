//! A provider for the tests of the layers: it plays outcomes in turn and counts its calls.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, stream};
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Message, Part, Request, Response, Role, Stop, Usage},
};

pub(crate) struct Play {
    outcomes: Mutex<VecDeque<Result<String, Error>>>,
    calls: Mutex<usize>,
    text_first: Option<String>,
}

impl Play {
    pub(crate) fn new<const N: usize>(outcomes: [Result<&str, Error>; N]) -> Arc<Self> {
        let outcomes = outcomes.into_iter().map(|outcome| outcome.map(str::to_owned)).collect();
        Arc::new(Self { outcomes: Mutex::new(outcomes), calls: Mutex::new(0), text_first: None })
    }

    /// The same, and every call begins with this text.
    pub(crate) fn after_text(self: Arc<Self>, text: &str) -> Arc<Self> {
        let mut play = Arc::into_inner(self).expect("nobody else holds it yet");
        play.text_first = Some(text.to_owned());
        Arc::new(play)
    }

    pub(crate) fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }
}

impl Llm for Play {
    fn provider(&self) -> &str {
        "play"
    }

    fn model(&self) -> &str {
        "play"
    }

    fn stream(&self, _: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        *self.calls.lock().unwrap() += 1;
        let outcome = self.outcomes.lock().unwrap().pop_front().expect("it was asked more often than the test says");
        let first = stream::iter(self.text_first.clone().map(|text| Ok(Chunk::Text(text))));
        let last = outcome.map(|text| {
            Chunk::Done(Box::new(Response {
                parts: vec![Part::Text { text }],
                stop: Stop::EndTurn,
                usage: Usage { output: 1, ..Usage::default() },
                model: "play".to_owned(),
                provider: "play".to_owned(),
                cost: None,
            }))
        });
        first.chain(stream::iter([last])).boxed()
    }

    fn count_tokens(&self, _: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        Box::pin(async { Ok(Usage::default()) })
    }

    fn cost(&self, _: &Usage) -> Option<MicroUsd> {
        None
    }
}

pub(crate) fn request(text: &str) -> Request {
    Request {
        system: None,
        messages: vec![Message::text(Role::User, text)],
        tools: Vec::new(),
        max_tokens: 100,
        temperature: None,
        effort: None,
        output: None,
        idempotency_key: "key-1".to_owned(),
        silence: Duration::from_secs(5),
    }
}

pub(crate) fn unavailable() -> Error {
    Error::Unavailable { provider: "play".to_owned(), message: "down".to_owned() }
}

pub(crate) fn limited(retry_after: Option<Duration>) -> Error {
    Error::RateLimited { provider: "play".to_owned(), message: "slow down".to_owned(), retry_after }
}

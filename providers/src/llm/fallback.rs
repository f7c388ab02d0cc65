//! The fallback chain: the next model when this one cannot answer.

use std::sync::Arc;

use futures::StreamExt;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Usage},
};

use super::{generator::generate, retry::cut};

/// Asks its members in order until one answers. The error of the last one asked is the chain's. A member's answer names
/// its own provider, model and price; what the chain says of itself (`provider`, `model`, `cost`) is the first
/// member's.
pub(crate) struct Fallback {
    first: Arc<dyn Llm>,
    others: Vec<Arc<dyn Llm>>,
}

impl Fallback {
    /// A chain of at least one.
    pub(crate) fn new(first: Arc<dyn Llm>, others: Vec<Arc<dyn Llm>>) -> Self {
        Self { first, others }
    }
}

impl Llm for Fallback {
    fn provider(&self) -> &str {
        self.first.provider()
    }

    fn model(&self) -> &str {
        self.first.model()
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        generate(|out| async move {
            let mut member = &self.first;
            let mut others = self.others.iter();
            loop {
                let mut chunks = member.stream(request.clone());
                let mut text_handed_on = false;
                let error = loop {
                    match chunks.next().await {
                        Some(Ok(Chunk::Done(response))) => return Ok(*response),
                        Some(Ok(chunk)) => {
                            text_handed_on |= matches!(chunk, Chunk::Text(_));
                            out.emit(chunk).await;
                        }
                        Some(Err(error)) => break error,
                        None => break cut(member.provider()),
                    }
                };
                drop(chunks);
                if text_handed_on || !another_may_answer(&error) {
                    return Err(error);
                }
                let Some(next) = others.next() else { return Err(error) };
                tracing::warn!(
                    error = %error, error.code = error.code(), llm.provider = member.provider(),
                    llm.model = member.model(), next.provider = next.provider(), next.model = next.model(),
                    "The model cannot answer; the next one of the fallback chain is asked."
                );
                // Whoever listens has heard nothing for as long as the last member was silent.
                out.emit(Chunk::Progress).await;
                member = next;
            }
        })
    }

    fn context_window(&self) -> Option<u64> {
        // The smallest: what fits into it can be handed on to any.
        std::iter::once(&self.first).chain(&self.others).filter_map(|member| member.context_window()).min()
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        self.first.count_tokens(request)
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        self.first.cost(usage)
    }

    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        let members = std::iter::once(&self.first).chain(&self.others);
        members.map(|member| member.most(input, output)).collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// Whether another model could answer what this one could not.
///
/// It could, when the trouble is the provider's: down, overloaded, out of quota, not accepting our key, or with too
/// small a context. It is not asked about a request that is wrong in itself (our mistake, which must be seen), nor
/// after a refusal: a model that declines has answered, and we do not shop for one that does not.
fn another_may_answer(error: &Error) -> bool {
    match error {
        Error::RateLimited { .. }
        | Error::QuotaExhausted { .. }
        | Error::Unavailable { .. }
        | Error::Authentication { .. }
        | Error::ContextTooLong { .. }
        | Error::Timeout { .. }
        | Error::Interrupted { .. } => true,
        Error::InvalidRequest { .. } | Error::Refused { .. } | Error::Misformed { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::testing::{Play, request, unavailable};

    #[tokio::test]
    async fn the_next_member_answers_when_the_first_is_down() {
        let (first, second) = (Play::new([Err(unavailable())]), Play::new([Ok("second")]));
        let chain = Fallback::new(first.clone(), vec![second.clone()]);
        assert_eq!(chain.complete(request("hi")).await.unwrap().text(), "second");
        assert_eq!((first.calls(), second.calls()), (1, 1));
    }

    #[tokio::test]
    async fn the_last_error_is_the_chains() {
        let quota = Error::QuotaExhausted { provider: "b".to_owned(), message: "spent".to_owned() };
        let chain = Fallback::new(Play::new([Err(unavailable())]), vec![Play::new([Err(quota)])]);
        assert!(matches!(chain.complete(request("hi")).await, Err(Error::QuotaExhausted { .. })));
    }

    #[tokio::test]
    async fn a_refusal_a_bad_request_and_a_begun_answer_stay_where_they_are() {
        let refused = Error::Refused { provider: "a".to_owned(), message: "no".to_owned() };
        let invalid = Error::InvalidRequest { provider: "a".to_owned(), message: "no".to_owned() };
        for first in [
            Play::new([Err(refused)]),
            Play::new([Err(invalid)]),
            Play::new([Err(unavailable())]).after_text("I was say"),
        ] {
            let second = Play::new([Ok("second")]);
            let chain = Fallback::new(first, vec![second.clone()]);
            assert!(chain.complete(request("hi")).await.is_err());
            assert_eq!(second.calls(), 0);
        }
    }
}

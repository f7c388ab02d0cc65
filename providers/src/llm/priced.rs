//! The operator's own price of a model, in the place of the table's.

use std::sync::Arc;

use futures::StreamExt;
use greenroom_config::spec::Price;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Usage},
};

use crate::pricing;

/// A model whose tokens cost what the agent's file says.
pub(crate) struct Priced {
    inner: Arc<dyn Llm>,
    price: Price,
}

impl Priced {
    /// The model as it is, or at the operator's price if there is one.
    pub(crate) fn over(inner: Arc<dyn Llm>, price: Option<Price>) -> Arc<dyn Llm> {
        match price {
            Some(price) => Arc::new(Self { inner, price }),
            None => inner,
        }
    }
}

impl Llm for Priced {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        let price = |chunk| match chunk {
            Chunk::Done(mut response) => {
                response.cost = self.cost(&response.usage);
                Chunk::Done(response)
            }
            chunk => chunk,
        };
        self.inner.stream(request).map(move |chunk| chunk.map(price)).boxed()
    }

    fn context_window(&self) -> Option<u64> {
        self.inner.context_window()
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        self.inner.count_tokens(request)
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        pricing::price_by(&self.price, usage)
    }

    /// An hour's price counts where the operator gave one: it may be asked for.
    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        Usage::dearest(input, output, self.price.cache_write_1h.is_some(), |usage| self.cost(usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::testing::{Play, request};

    #[tokio::test]
    async fn the_operators_price_stands_in_the_answer() {
        let price = Price { input: 1.0, output: 2.0, cache_read: None, cache_write: None, cache_write_1h: None };
        let priced = Priced::over(Play::new([Ok("hello")]), Some(price));
        let usage = Usage { input: 10, output: 5, ..Usage::default() };
        assert_eq!(priced.cost(&usage), Some(MicroUsd(20)));
        assert_eq!(priced.complete(request("hi")).await.unwrap().cost, Some(MicroUsd(2)), "one token of output");
        assert_eq!(Priced::over(Play::new([]), None).cost(&usage), None);
    }
}

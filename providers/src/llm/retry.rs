//! The only retry engine. Providers never retry by themselves, so that three retries are three and not nine.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use greenroom_contract::{
    BoxFuture, BoxStream,
    money::MicroUsd,
    port::llm::{Chunk, Error, Llm, Request, Usage},
};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until};

use super::{generator::generate, limits::Guard};

/// So many times a call is made again (R13.3).
const MAX_RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A provider that asks for more than this is not waited for here: the execution is tried again later, or falls back.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(60);
/// How often a wait shows that it is one.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Makes a provider's calls again where that can help: the error is transient, no text of an answer was handed on, and
/// the provider does not ask for more patience than a call has. Each attempt is made under the provider's guard: it waits
/// in line for the key's limits, and none is made while the breaker is open.
pub(crate) struct Retry {
    inner: Arc<dyn Llm>,
    guard: Option<Arc<Guard>>,
}

impl Retry {
    /// Wraps a provider that nobody shares.
    #[cfg(test)]
    pub(crate) fn new(inner: Arc<dyn Llm>) -> Self {
        Self { inner, guard: None }
    }

    /// Wraps a provider, under a guard.
    pub(crate) fn guarded(inner: Arc<dyn Llm>, guard: Arc<Guard>) -> Self {
        Self { inner, guard: Some(guard) }
    }
}

impl Llm for Retry {
    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn model(&self) -> &str {
        self.inner.model()
    }

    fn stream(&self, request: Request) -> BoxStream<'_, Result<Chunk, Error>> {
        generate(|out| async move {
            let mut retries = 0;
            let mut last_error = None;
            loop {
                let attempt = match &self.guard {
                    Some(guard) => match guard.admit(&request, &out).await {
                        Ok(attempt) => Some(attempt),
                        // What the provider said tells more than that it is not asked again.
                        Err(refused) => return Err(last_error.unwrap_or(refused)),
                    },
                    None => None,
                };
                let mut attempt = attempt;
                let mut chunks = self.inner.stream(request.clone());
                // A sign of life has no content: a call that only showed one can be made again unseen.
                let mut text_handed_on = false;
                let error = loop {
                    match chunks.next().await {
                        Some(Ok(Chunk::Done(response))) => {
                            if let Some(attempt) = attempt {
                                attempt.settle(Ok(&response));
                            }
                            return Ok(*response);
                        }
                        Some(Ok(chunk)) => {
                            if matches!(chunk, Chunk::Text(_))
                                && !std::mem::replace(&mut text_handed_on, true)
                                && let Some(attempt) = &mut attempt
                            {
                                attempt.answers();
                            }
                            out.emit(chunk).await;
                        }
                        Some(Err(error)) => break error,
                        None => break cut(self.provider()),
                    }
                };
                drop(chunks);
                if let Some(attempt) = attempt {
                    attempt.settle(Err(&error));
                }
                let spread = spread(&request.idempotency_key, retries);
                let Some(wait) = decide(&error, retries, text_handed_on, spread) else { return Err(error) };
                retries += 1;
                tracing::warn!(
                    error = %error, error.code = error.code(), llm.provider = self.provider(), llm.model = self.model(),
                    retry = retries, wait_ms = wait.as_millis() as u64,
                    "The model's provider failed and is asked again after a wait."
                );
                // While it waits the call is alive, and whoever watches over it must see that.
                let until = Instant::now() + wait;
                while Instant::now() < until {
                    out.emit(Chunk::Progress).await;
                    sleep_until(until.min(Instant::now() + SIGN_OF_LIFE)).await;
                }
                out.emit(Chunk::Progress).await;
                last_error = Some(error);
            }
        })
    }

    fn context_window(&self) -> Option<u64> {
        self.inner.context_window()
    }

    fn count_tokens(&self, request: &Request) -> BoxFuture<'_, Result<Usage, Error>> {
        self.inner.count_tokens(request)
    }

    fn cost(&self, usage: &Usage) -> Option<MicroUsd> {
        self.inner.cost(usage)
    }

    fn most(&self, input: u64, output: u64) -> Option<MicroUsd> {
        self.inner.most(input, output)
    }
}

/// How long to wait before the call is made again; `None` when it should not be.
/// `spread` is between 0 and 1 and takes up to a quarter off the wait, so that many agents do not come back as one.
fn decide(error: &Error, retries: u32, text_handed_on: bool, spread: f64) -> Option<Duration> {
    if !error.is_transient() || text_handed_on || retries >= MAX_RETRIES {
        return None;
    }
    let backoff = FIRST_WAIT.saturating_mul(1 << retries.min(16)).min(LONGEST_WAIT).mul_f64(1.0 - spread / 4.0);
    match error {
        Error::RateLimited { retry_after: Some(asked), .. } if *asked > LONGEST_ASKED_WAIT => None,
        Error::RateLimited { retry_after: Some(asked), .. } => Some(backoff.max(*asked)),
        _ => Some(backoff),
    }
}

/// A number between 0 and 1 that differs from call to call, and is the same when a call is repeated.
fn spread(key: &str, retries: u32) -> f64 {
    let digest = Sha256::new().chain_update(key).chain_update(retries.to_be_bytes()).finalize();
    f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX)
}

/// The error of a stream that ended with neither an answer nor an error.
pub(super) fn cut(provider: &str) -> Error {
    Error::Interrupted { provider: provider.to_owned(), message: "it ended without a last chunk".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::testing::{Play, limited, request, unavailable};

    #[test]
    fn waits_grow_are_spread_and_end() {
        let error = unavailable();
        let waits: Vec<_> = (0..5).map(|retries| decide(&error, retries, false, 0.0)).collect();
        let expected = [Some(500), Some(1000), Some(2000), None, None];
        assert_eq!(waits, expected.map(|ms| ms.map(Duration::from_millis)));
        assert_eq!(decide(&error, 0, false, 1.0), Some(Duration::from_millis(375)));
    }

    #[test]
    fn what_cannot_help_is_not_tried() {
        let provider = String::new;
        for error in [
            Error::Authentication { provider: provider(), message: provider() },
            Error::QuotaExhausted { provider: provider(), message: provider() },
            Error::InvalidRequest { provider: provider(), message: provider() },
            Error::ContextTooLong { provider: provider(), message: provider() },
            Error::Refused { provider: provider(), message: provider() },
        ] {
            assert_eq!(decide(&error, 0, false, 0.0), None, "{error}");
        }
        assert_eq!(decide(&unavailable(), 0, true, 0.0), None, "text was handed on");
    }

    #[test]
    fn retry_after_is_honoured_up_to_a_minute() {
        let seconds = Duration::from_secs;
        assert_eq!(decide(&limited(Some(seconds(5))), 0, false, 0.0), Some(seconds(5)));
        assert_eq!(decide(&limited(Some(seconds(60))), 2, false, 1.0), Some(seconds(60)));
        assert_eq!(decide(&limited(Some(seconds(61))), 0, false, 0.0), None);
        assert_eq!(decide(&limited(Some(Duration::ZERO)), 0, false, 0.0), Some(FIRST_WAIT));
        assert_eq!(decide(&limited(None), 0, false, 0.0), Some(FIRST_WAIT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_again_after_the_asked_wait_and_succeeds() {
        let play = Play::new([Err(limited(Some(Duration::from_secs(30)))), Err(unavailable()), Ok("there")]);
        let started = tokio::time::Instant::now();
        let answer = Retry::new(play.clone()).complete(request("hi")).await.unwrap();
        assert_eq!(answer.text(), "there");
        assert_eq!(play.calls(), 3);
        assert!(started.elapsed() >= Duration::from_millis(30_750), "waited only {:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn three_retries_are_three() {
        let play = Play::new(std::array::from_fn::<_, 9, _>(|_| Err(unavailable())));
        let error = Retry::new(play.clone()).complete(request("hi")).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }));
        assert_eq!(play.calls(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_retried_after_text_was_handed_on() {
        let play = Play::new([Err(unavailable()), Ok("never asked")]).after_text("half an ans");
        let retry = Retry::new(play.clone());
        let chunks: Vec<_> = retry.stream(request("hi")).collect().await;
        assert!(matches!(&chunks[0], Ok(Chunk::Text(text)) if text == "half an ans"));
        assert!(matches!(&chunks[1], Err(Error::Unavailable { .. })));
        assert_eq!((chunks.len(), play.calls()), (2, 1));
    }
}

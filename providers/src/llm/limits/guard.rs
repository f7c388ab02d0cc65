//! What stands before one model of one key: its breaker, and behind it the key's limits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use greenroom_contract::{
    port::llm::{Error, Request, Response},
    status::AgentStatus,
    task,
};
use tokio::time::{Instant, sleep_until};

use super::{
    account::{Account, Need},
    board::Board,
    breaker::{Admission, Breaker, BreakerRules, News, Outcome},
};
use crate::llm::generator::Emitter;

/// The guard of one model, shared by all agents that ask it with the same key.
pub(crate) struct Guard {
    account: Arc<Account>,
    provider: String,
    model: String,
    breaker: Mutex<Breaker>,
    board: Board,
    me: Weak<Self>,
}

/// A call that was let through. Who drops it without telling how it ended has given it up.
pub(crate) struct Attempt<'a> {
    guard: &'a Guard,
    trial: bool,
    need: Option<Need>,
    settled: bool,
}

impl Guard {
    /// A guard before `model`.
    pub(super) fn new(
        account: Arc<Account>,
        provider: &str,
        model: &str,
        rules: BreakerRules,
        board: Board,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            account,
            provider: provider.to_owned(),
            model: model.to_owned(),
            breaker: Mutex::new(Breaker::new(rules)),
            board,
            me: me.clone(),
        })
    }

    /// The key that the model is asked with.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Asks to make a call; waits in line where the key's limits want it. A refusal is final: asking again at once leads
    /// to another one. It is of the kind of the failures that led to it, so that the caller decides as if it had asked.
    pub(crate) async fn admit(&self, request: &Request, out: &Emitter) -> Result<Attempt<'_>, Error> {
        let admission = self.lock().admit(Instant::now());
        let trial = match admission {
            Admission::Free => false,
            Admission::Trial => true,
            Admission::Refused { until } => return Err(self.refusal(until)),
        };
        let mut attempt = Attempt { guard: self, trial, need: None, settled: false };
        attempt.need = Some(self.account.admit(request, out).await?);
        Ok(attempt)
    }

    fn settle(&self, trial: bool, outcome: Outcome) {
        let news = self.lock().settle(trial, outcome, Instant::now());
        match news {
            None => {}
            Some(News::Closed) => {
                self.board.well();
                tracing::info!(
                    llm.provider = self.provider,
                    llm.model = self.model,
                    "The model answers again; calls are let through."
                );
            }
            Some(News::Opened { until }) => self.opened(until),
        }
    }

    fn opened(&self, until: Instant) {
        let Some(cause) = self.lock().cause().cloned() else { return };
        self.board.held(AgentStatus::Unavailable, until, &cause);
        tracing::warn!(
            error = %cause, error.code = cause.code(), llm.provider = self.provider, llm.model = self.model,
            pause_ms = until.saturating_duration_since(Instant::now()).as_millis() as u64,
            "The model failed again and again; it is left alone for a while."
        );
        let me = self.me.clone();
        // It only shows that the pause is over.
        drop(task::spawn("provider-pause", async move {
            sleep_until(until).await;
            if let Some(guard) = me.upgrade() {
                guard.board.on_trial();
            }
        }));
    }

    fn refusal(&self, until: Instant) -> Error {
        let (cause, times) = {
            let breaker = self.lock();
            (breaker.cause().cloned(), breaker.in_a_row())
        };
        let left = until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        let last = cause.as_ref().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "{} is not asked for another {left} s, because it failed {times} times in a row: {last}",
            self.model
        );
        let provider = self.provider.clone();
        match cause {
            Some(Error::Authentication { .. }) => Error::Authentication { provider, message },
            Some(Error::QuotaExhausted { .. }) => Error::QuotaExhausted { provider, message },
            _ => Error::Unavailable { provider, message },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// It has begun to answer: a trial has shown then what it was for, however long the answer is.
    pub(crate) fn answers(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.guard.settle(true, Outcome::Answered);
        }
    }

    /// Tells how the call ended.
    pub(crate) fn settle(mut self, end: Result<&Response, &Error>) {
        self.settled = true;
        let outcome = match end {
            Ok(_) => Outcome::Answered,
            Err(error) => {
                self.guard.account.turned_away(error);
                Outcome::of(error)
            }
        };
        if let Some(need) = self.need {
            self.guard.account.ended(need, end.map(|response| &response.usage));
        }
        self.guard.settle(self.trial, outcome);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.settled && self.trial {
            self.guard.settle(true, Outcome::Nothing);
        }
    }
}

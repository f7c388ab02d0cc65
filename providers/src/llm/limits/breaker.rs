//! The circuit breaker of one model, as a pure decision: who fails again and again is left alone for a while.

use std::time::Duration;

use greenroom_contract::port::llm::Error;
use tokio::time::Instant;

/// When it opens, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BreakerRules {
    /// After so many failures in a row; 0 never.
    pub(crate) failures: u32,
    /// The first pause; doubled for each trial that fails.
    pub(crate) pause: Duration,
    /// The longest pause.
    pub(crate) longest_pause: Duration,
}

/// How a call ended, for the breaker.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// It answered, even if with a refusal: it is there.
    Answered,
    /// It did not, and the same is to be expected of the next call.
    Failed(Error),
    /// It says nothing about how it is: it was given up, or we ask too often.
    Nothing,
}

impl Outcome {
    /// What an error says.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Unavailable { .. }
            | Error::Timeout { .. }
            | Error::Interrupted { .. }
            | Error::Authentication { .. }
            | Error::QuotaExhausted { .. } => Self::Failed(error.clone()),
            Error::RateLimited { .. } => Self::Nothing,
            Error::InvalidRequest { .. }
            | Error::ContextTooLong { .. }
            | Error::Refused { .. }
            | Error::Misformed { .. } => Self::Answered,
        }
    }
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Admission {
    /// Like any other.
    Free,
    /// As the one trial that decides for all.
    Trial,
    /// Not before `until`; while a trial is under way it may be earlier.
    Refused { until: Instant },
}

/// What people should hear of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// Nobody is let through until then.
    Opened { until: Instant },
    /// All are.
    Closed,
}

#[derive(Debug, Clone)]
enum State {
    Closed,
    Open { until: Instant },
    Trial,
}

/// The breaker.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    rules: BreakerRules,
    state: State,
    in_a_row: u32,
    pause: Duration,
    cause: Option<Error>,
}

impl Breaker {
    pub(super) fn new(rules: BreakerRules) -> Self {
        let pause = rules.pause;
        Self { rules, state: State::Closed, in_a_row: 0, pause, cause: None }
    }

    /// Asks to make a call.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Free,
            State::Open { until } if now < until => Admission::Refused { until },
            State::Open { .. } => {
                self.state = State::Trial;
                Admission::Trial
            }
            State::Trial => Admission::Refused { until: now + self.pause },
        }
    }

    /// Tells how a call ended that was admitted. Calls from before it opened decide nothing after it has.
    pub(super) fn settle(&mut self, trial: bool, outcome: Outcome, now: Instant) -> Option<News> {
        match (&self.state, outcome) {
            (State::Trial, outcome) if trial => match outcome {
                Outcome::Answered => Some(self.close()),
                Outcome::Failed(cause) => {
                    self.pause = (self.pause * 2).min(self.rules.longest_pause);
                    Some(self.open(cause, now))
                }
                // The trial was given up: the next who asks has it.
                Outcome::Nothing => {
                    self.state = State::Open { until: now };
                    None
                }
            },
            (State::Closed, Outcome::Answered) => {
                self.in_a_row = 0;
                None
            }
            (State::Closed, Outcome::Failed(cause)) => {
                self.in_a_row += 1;
                let enough = self.rules.failures > 0 && self.in_a_row >= self.rules.failures;
                enough.then(|| self.open(cause, now))
            }
            _ => None,
        }
    }

    /// The failure for which it is open.
    pub(super) fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }

    /// How many failures in a row there were.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    fn open(&mut self, cause: Error, now: Instant) -> News {
        let until = now + self.pause;
        self.state = State::Open { until };
        self.cause = Some(cause);
        News::Opened { until }
    }

    fn close(&mut self) -> News {
        *self = Self::new(self.rules.clone());
        News::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(BreakerRules { failures: 3, pause: 10 * SECOND, longest_pause: 25 * SECOND })
    }

    fn failed() -> Outcome {
        Outcome::of(&Error::Unavailable { provider: "p".to_owned(), message: "down".to_owned() })
    }

    /// Opens it.
    fn broken(now: Instant) -> Breaker {
        let mut breaker = breaker();
        for _ in 0..2 {
            assert_eq!(breaker.settle(false, failed(), now), None);
        }
        assert_eq!(breaker.settle(false, failed(), now), Some(News::Opened { until: now + 10 * SECOND }));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn only_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut breaker = breaker();
        for outcome in [failed(), failed(), Outcome::Answered, failed(), Outcome::Nothing, failed()] {
            assert_eq!(breaker.settle(false, outcome, now), None);
        }
        assert_eq!(breaker.admit(now), Admission::Free);
        assert!(breaker.settle(false, failed(), now).is_some());
        assert_eq!(breaker.admit(now), Admission::Refused { until: now + 10 * SECOND });
    }

    #[tokio::test(start_paused = true)]
    async fn one_trial_decides_for_all() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let later = now + 10 * SECOND;
        assert_eq!(breaker.admit(later), Admission::Trial);
        assert!(matches!(breaker.admit(later), Admission::Refused { .. }), "there is one trial at a time");
        // A call from before it opened has nothing to say.
        assert_eq!(breaker.settle(false, Outcome::Answered, later), None);
        assert_eq!(breaker.settle(true, failed(), later), Some(News::Opened { until: later + 20 * SECOND }));
        let later = later + 20 * SECOND;
        assert_eq!(breaker.admit(later), Admission::Trial);
        assert_eq!(breaker.settle(true, failed(), later), Some(News::Opened { until: later + 25 * SECOND }));
        let later = later + 25 * SECOND;
        assert_eq!(breaker.admit(later), Admission::Trial);
        assert_eq!(breaker.settle(true, Outcome::Answered, later), Some(News::Closed));
        assert_eq!(breaker.admit(later), Admission::Free);
        assert_eq!(breaker.in_a_row(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_is_the_next_ones() {
        let now = Instant::now();
        let mut breaker = broken(now);
        let later = now + 10 * SECOND;
        assert_eq!(breaker.admit(later), Admission::Trial);
        assert_eq!(breaker.settle(true, Outcome::Nothing, later), None);
        assert_eq!(breaker.admit(later), Admission::Trial);
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_switched_off() {
        let mut breaker = Breaker::new(BreakerRules { failures: 0, ..breaker().rules });
        for _ in 0..1000 {
            assert_eq!(breaker.settle(false, failed(), Instant::now()), None);
        }
    }
}

//! One key's limits, and the line of those who wait for their turn.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{
    port::llm::{Chunk, Error, Request, Usage},
    status::AgentStatus,
    task,
};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

use super::{board::Board, bucket::Bucket, heard::heard};
use crate::llm::{estimate, generator::Emitter, retry::SIGN_OF_LIFE};

/// How long calls are held back when a server says "too many" and not for how long.
const SHORT_HOLD: Duration = Duration::from_secs(1);
/// No server's word holds all agents back for longer; after that one call tries.
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// How far calls stand apart after a hold, until one has gone well: a crowd would be turned away again.
const GENTLE: Duration = Duration::from_millis(100);

/// A key at a provider, shared by all agents that use it.
pub(crate) struct Account {
    provider: String,
    rules: Rules,
    state: Mutex<State>,
    /// Whether anybody counts tokens: only then are a request's estimated.
    counts_tokens: AtomicBool,
    /// Who holds it is the first in line. It is fair: waiting callers get it in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    /// The first in line should look again.
    changed: Notify,
    board: Board,
    me: Weak<Self>,
}

/// What an account keeps to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    pub(super) requests_per_minute: Option<u32>,
    pub(super) tokens_per_minute: Option<u32>,
    /// A call that would have to wait for longer is refused at once.
    pub(super) longest_wait: Duration,
    /// So many callers wait at most.
    pub(super) max_waiting: usize,
}

impl Default for Rules {
    /// Nothing but what the server tells.
    fn default() -> Self {
        let longest_wait = Duration::from_secs(60);
        Self { requests_per_minute: None, tokens_per_minute: None, longest_wait, max_waiting: 1000 }
    }
}

/// What a call takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Need {
    tokens: f64,
}

#[derive(Debug, Default)]
struct State {
    requests: Limit,
    tokens: Limit,
    hold: Option<Instant>,
    /// Set after a hold: when the next call may go.
    gentle: Option<Instant>,
    waiting: usize,
    /// Whether a task waits for the hold's end to show it.
    watched: bool,
}

/// What the operator allows, and what the server tells.
#[derive(Debug, Default)]
struct Limit {
    allowed: Option<Bucket>,
    told: Option<Bucket>,
}

impl Limit {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.allowed.iter_mut().chain(self.told.iter_mut())
    }
}

impl Default for Account {
    /// An account of nobody, without limits: for tests.
    fn default() -> Self {
        Self::of("", Rules::default(), Board::default(), Weak::new())
    }
}

impl Account {
    /// An account that keeps to these rules.
    pub(super) fn new(provider: &str, rules: Rules, board: Board) -> Arc<Self> {
        Arc::new_cyclic(|me| Self::of(provider, rules, board, me.clone()))
    }

    fn of(provider: &str, rules: Rules, board: Board, me: Weak<Self>) -> Self {
        let now = Instant::now();
        let limit =
            |allowed: Option<u32>| Limit { allowed: allowed.map(|limit| Bucket::per_minute(limit, now)), told: None };
        let state = State {
            requests: limit(rules.requests_per_minute),
            tokens: limit(rules.tokens_per_minute),
            ..State::default()
        };
        Self {
            provider: provider.to_owned(),
            counts_tokens: rules.tokens_per_minute.is_some().into(),
            rules,
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            board,
            me,
        }
    }

    /// Takes up what a server tells of its limits, with any answer.
    pub(crate) fn heard(&self, headers: &HeaderMap) {
        let heard = heard(headers, Timestamp::now());
        if heard.requests.is_none() && heard.tokens.is_none() {
            return;
        }
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(left) = heard.requests {
            state.requests.told = Some(Bucket::told(left.limit, left.remaining, left.reset.min(LONGEST_HOLD), now));
        }
        if let Some(left) = heard.tokens {
            state.tokens.told = Some(Bucket::told(left.limit, left.remaining, left.reset.min(LONGEST_HOLD), now));
            self.counts_tokens.store(true, Ordering::Relaxed);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until a call may be made, in line with the others, showing signs of life. Fails with
    /// [`Error::RateLimited`] when the line is full or the wait would be longer than the rules allow.
    pub(super) async fn admit(&self, request: &Request, out: &Emitter) -> Result<Need, Error> {
        let need = self.need(request);
        let now = Instant::now();
        {
            let mut state = self.lock();
            if state.waiting == 0 && state.wait_for(need, now).is_zero() {
                state.take(need, now);
                return Ok(need);
            }
        }
        self.wait_in_line(need, now + self.rules.longest_wait, out).await?;
        Ok(need)
    }

    /// A call has ended, and what it took is set right.
    pub(super) fn ended(&self, need: Need, end: Result<&Usage, &Error>) {
        let used = match end {
            Ok(usage) => Some(usage.all_input().saturating_add(usage.output) as f64),
            // Nobody knows how much of an answer there was.
            Err(Error::Interrupted { .. } | Error::Timeout { .. }) => None,
            Err(_) => Some(0.0),
        };
        let mut state = self.lock();
        if let Some(used) = used {
            // What the server tells is right already.
            state.tokens.allowed.iter_mut().for_each(|bucket| bucket.correct(need.tokens, used));
        }
        if end.is_ok() {
            state.gentle = None;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The server turned a call away: all others of this key wait, too.
    pub(super) fn turned_away(&self, error: &Error) {
        let Error::RateLimited { retry_after, .. } = error else { return };
        let now = Instant::now();
        let asked = now + retry_after.unwrap_or(SHORT_HOLD).min(LONGEST_HOLD);
        let mut state = self.lock();
        let news = state.hold.is_none_or(|hold| hold < asked);
        if news {
            state.hold = Some(asked);
        }
        state.gentle = Some(now);
        let watch = !std::mem::replace(&mut state.watched, true);
        drop(state);
        if news {
            self.board.held(AgentStatus::Paused, asked, error);
        }
        if watch {
            let me = self.me.clone();
            // It only shows what is so, and ends with the hold.
            drop(task::spawn("provider-hold", async move {
                while let Some(until) = me.upgrade().and_then(|account| account.hold_or_well()) {
                    sleep_until(until).await;
                }
            }));
        }
    }

    fn hold_or_well(&self) -> Option<Instant> {
        let mut state = self.lock();
        let hold = state.hold.filter(|hold| *hold > Instant::now());
        if hold.is_none() {
            state.hold = None;
            state.watched = false;
            drop(state);
            self.board.well();
        }
        hold
    }

    fn need(&self, request: &Request) -> Need {
        if !self.counts_tokens.load(Ordering::Relaxed) {
            return Need::default();
        }
        let tokens = estimate::input(request).input.saturating_add(request.max_tokens.into());
        Need { tokens: tokens as f64 }
    }

    async fn wait_in_line(&self, need: Need, deadline: Instant, out: &Emitter) -> Result<(), Error> {
        let _place = self.queue_up(need, deadline)?;
        let _turn = {
            let mut turn = pin!(self.turn.lock());
            loop {
                out.emit(Chunk::Progress).await;
                match timeout_at(deadline.min(Instant::now() + SIGN_OF_LIFE), turn.as_mut()).await {
                    Ok(turn) => break turn,
                    Err(_) if Instant::now() >= deadline => {
                        return Err(self.too_long(self.lock().wait_for(need, deadline)));
                    }
                    Err(_) => {}
                }
            }
        };
        loop {
            let now = Instant::now();
            let wait = {
                let mut state = self.lock();
                let wait = state.wait_for(need, now);
                if wait.is_zero() {
                    state.take(need, now);
                    return Ok(());
                }
                wait
            };
            if now.checked_add(wait).is_none_or(|until| until > deadline) {
                return Err(self.too_long(wait));
            }
            out.emit(Chunk::Progress).await;
            // Whichever comes first, the state is asked again.
            drop(timeout_at(now + wait.min(SIGN_OF_LIFE), self.changed.notified()).await);
        }
    }

    fn queue_up(&self, need: Need, deadline: Instant) -> Result<Place<'_>, Error> {
        let room = self.rules.max_waiting;
        let now = Instant::now();
        let mut state = self.lock();
        let ahead = state.waiting as f64;
        let wait = state.wait_behind(ahead, need, now);
        let too_long = now.checked_add(wait).is_none_or(|until| until > deadline);
        if too_long || state.waiting >= room {
            drop(state);
            return Err(self.too_long(wait));
        }
        state.waiting += 1;
        let waiting = state.waiting;
        drop(state);
        self.board.waiting(waiting, room);
        Ok(Place { account: self })
    }

    fn too_long(&self, wait: Duration) -> Error {
        let seconds = wait.as_secs_f64().ceil();
        let message = format!(
            "calls with this key are held back to keep to its limits, for about {seconds} s more; \
             at most {} s are waited, by at most {} callers",
            self.rules.longest_wait.as_secs(),
            self.rules.max_waiting
        );
        Error::RateLimited { provider: self.provider.clone(), message, retry_after: Some(wait) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait_for(&mut self, need: Need, now: Instant) -> Duration {
        self.wait_behind(0.0, need, now)
    }

    /// How long it takes until a call can be made, with so many of its kind before it.
    fn wait_behind(&mut self, ahead: f64, need: Need, now: Instant) -> Duration {
        let until = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let held = until(self.hold).max(until(self.gentle));
        let requests = self.requests.buckets().map(|bucket| bucket.wait_for(1.0, ahead, now));
        let tokens = self.tokens.buckets().map(|bucket| bucket.wait_for(need.tokens, ahead, now));
        requests.chain(tokens).fold(held, Duration::max)
    }

    fn take(&mut self, need: Need, now: Instant) {
        self.requests.buckets().for_each(|bucket| bucket.take(1.0, now));
        self.tokens.buckets().for_each(|bucket| bucket.take(need.tokens, now));
        self.gentle = self.gentle.map(|_| now + GENTLE);
    }
}

/// A place in the line.
struct Place<'a> {
    account: &'a Account,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.account.lock();
            state.waiting -= 1;
            state.waiting
        };
        self.account.board.waiting(waiting, self.account.rules.max_waiting);
    }
}

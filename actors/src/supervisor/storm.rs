//! The storm breaker: when many fail of the same cause at once (a provider is down, a key has expired), the cause is
//! at fault and not the members; they pause by that cause, and no restart budget is burnt.
//!
//! How to use it. One [`Breaker`] for all members that could suffer together (a node's agents); clones are the same
//! breaker, every method is quick and does no I/O. A member
//! - says [`Breaker::joined`] when it starts and [`Breaker::left`] when it is gone for good;
//! - says [`Breaker::failed`] or [`Breaker::succeeded`] at the end of each piece of work, with the cause as a stable word
//!   that names the thing at fault where it can (`provider_unavailable openai`), because it is compared as a whole. An
//!   answer [`Verdict::Paused`] means: this failure does not count against me; I take no work before `until`;
//! - asks [`Breaker::admit`] before it takes work again (a timer at `until`, or earlier when [`Breaker::changes`] tells):
//!   [`Verdict::Go`] is freedom, [`Verdict::Probe`] allows one piece of work whose outcome decides for all,
//!   [`Verdict::Paused`] says when to ask again.
//!
//! Only members that reported the cause are held by it: who works with another provider does not notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// When many failures are a storm, and how long it is waited out.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// This share of the known members (0..=1) must have reported the cause…
    pub share: f64,
    /// …and at least so many, so that two agents of three are not a storm.
    pub least: usize,
    /// Reports count together for so long.
    pub within: Duration,
    /// The first pause; doubled for each probe that fails of the same cause. A probe that says nothing for this long
    /// loses its turn to the next who asks.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            share: 0.3,
            least: 3,
            within: Duration::from_secs(60),
            pause: Duration::from_secs(30),
            longest: Duration::from_secs(600),
        }
    }
}

/// Why and how long a member is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The cause that the members share.
    pub cause: String,
    /// When to ask [`Breaker::admit`] again.
    pub until: Instant,
    /// How many members are held by it.
    pub held: usize,
    /// Whether this very report began or prolonged the pause: the one to be logged and published.
    pub news: bool,
}

/// What a member is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing holds it.
    Go,
    /// It may do one piece of work as a trial of this cause.
    Probe {
        /// Which.
        cause: String,
    },
    /// It is to take no work.
    Paused(Pause),
    /// Its trial went well: everyone held by this cause may go, it too.
    Resumed {
        /// Which.
        cause: String,
    },
}

/// The thread-safe handle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Breaker {
    storm: Arc<Mutex<Storm>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new(Rules::default())
    }
}

impl Breaker {
    /// A breaker without members.
    pub fn new(rules: Rules) -> Self {
        let (changes, _) = watch::channel(0);
        Self { storm: Arc::new(Mutex::new(Storm::new(rules))), changes: Arc::new(changes) }
    }

    /// A member is there and counts for the share. Saying it twice changes nothing.
    pub fn joined(&self, member: &str) {
        self.lock().joined(member);
    }

    /// A member is gone: it counts no more, and if it was probing another may.
    pub fn left(&self, member: &str) {
        let resumed = self.lock().left(member);
        self.tell(resumed);
    }

    /// A member failed of this cause. `Go` or `Paused`; who is not known yet joins by it.
    pub fn failed(&self, member: &str, cause: &str, now: Instant) -> Verdict {
        self.lock().failed(member, cause, now)
    }

    /// A member's work went well. `Resumed` if that was the trial, else how the member stands.
    pub fn succeeded(&self, member: &str, now: Instant) -> Verdict {
        let verdict = self.lock().succeeded(member, now);
        self.tell(matches!(verdict, Verdict::Resumed { .. }));
        verdict
    }

    /// May this member take work? `Go`, `Probe` (then its turn is taken), or `Paused`.
    pub fn admit(&self, member: &str, now: Instant) -> Verdict {
        self.lock().admit(member, now)
    }

    /// What holds this member, for whoever shows it. Changes nothing; a member whose turn to probe has come or is
    /// running is not held.
    pub fn paused(&self, member: &str, now: Instant) -> Option<Pause> {
        self.lock().paused(member, now)
    }

    /// Changes whenever a pause was lifted: worth another [`Breaker::admit`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self, resumed: bool) {
        if resumed {
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Storm> {
        self.storm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The breaker's memory and its decisions; pure.
#[derive(Debug)]
struct Storm {
    rules: Rules,
    members: BTreeSet<String>,
    /// For each cause, who last reported it when.
    reports: BTreeMap<String, BTreeMap<String, Instant>>,
    open: BTreeMap<String, Open>,
}

/// A cause that holds its members.
#[derive(Debug)]
struct Open {
    held: BTreeSet<String>,
    until: Instant,
    length: Duration,
    /// Whose trial is running, and until when it has the turn.
    probe: Option<(String, Instant)>,
}

impl Open {
    /// Until when this member is held; `None` if it may probe, or is probing.
    fn holds(&self, member: &str, now: Instant) -> Option<Instant> {
        if now < self.until {
            return Some(self.until);
        }
        match &self.probe {
            Some((probe, turn)) if probe != member && now < *turn => Some(*turn),
            _ => None,
        }
    }
}

impl Storm {
    fn new(rules: Rules) -> Self {
        Self { rules, members: BTreeSet::new(), reports: BTreeMap::new(), open: BTreeMap::new() }
    }

    fn joined(&mut self, member: &str) {
        if !self.members.contains(member) {
            self.members.insert(member.to_owned());
        }
    }

    /// Returns whether a pause was lifted by it.
    fn left(&mut self, member: &str) -> bool {
        self.members.remove(member);
        self.forget_reports(member);
        let mut freed = false;
        for open in self.open.values_mut() {
            open.held.remove(member);
            if open.probe.as_ref().is_some_and(|(probe, _)| probe == member) {
                open.probe = None;
                freed = true;
            }
        }
        self.open.retain(|_, open| !open.held.is_empty());
        freed
    }

    fn failed(&mut self, member: &str, cause: &str, now: Instant) -> Verdict {
        self.joined(member);
        for (other, open) in &mut self.open {
            // A trial that failed of something else says nothing about the cause: the turn goes to the next.
            if other != cause && open.probe.as_ref().is_some_and(|(probe, _)| probe == member) {
                open.probe = None;
            }
        }
        if let Some(open) = self.open.get_mut(cause) {
            let news = open.probe.as_ref().is_some_and(|(probe, _)| probe == member);
            open.held.insert(member.to_owned());
            if news {
                open.length = open.length.saturating_mul(2).min(self.rules.longest);
                open.until = now + open.length;
                open.probe = None;
            }
            let until = open.holds(member, now).unwrap_or(now);
            return Verdict::Paused(Pause { cause: cause.to_owned(), until, held: open.held.len(), news });
        }
        let within = self.rules.within;
        self.reports.retain(|_, reports| {
            reports.retain(|_, at| now.saturating_duration_since(*at) < within);
            !reports.is_empty()
        });
        self.reports.entry(cause.to_owned()).or_default().insert(member.to_owned(), now);
        let reported = self.reports.get(cause).map_or(0, BTreeMap::len);
        if reported < self.rules.least || (reported as f64) < self.rules.share * self.members.len() as f64 {
            return self.standing(member, now);
        }
        let held: BTreeSet<String> = self.reports.remove(cause).unwrap_or_default().into_keys().collect();
        let length = self.rules.pause.min(self.rules.longest);
        let open = Open { held, until: now + length, length, probe: None };
        let pause = Pause { cause: cause.to_owned(), until: open.until, held: open.held.len(), news: true };
        self.open.insert(cause.to_owned(), open);
        Verdict::Paused(pause)
    }

    fn succeeded(&mut self, member: &str, now: Instant) -> Verdict {
        self.forget_reports(member);
        let tried = |open: &Open| open.probe.as_ref().is_some_and(|(probe, _)| probe == member);
        let proven: Vec<String> =
            self.open.iter().filter(|(_, open)| tried(open)).map(|(cause, _)| cause.clone()).collect();
        for cause in &proven {
            self.open.remove(cause);
        }
        match proven.into_iter().next() {
            Some(cause) => Verdict::Resumed { cause },
            None => self.standing(member, now),
        }
    }

    fn admit(&mut self, member: &str, now: Instant) -> Verdict {
        if let Some(pause) = self.paused(member, now) {
            return Verdict::Paused(pause);
        }
        let mut probed = None;
        for (cause, open) in &mut self.open {
            if open.held.contains(member) {
                open.probe = Some((member.to_owned(), now + self.rules.pause));
                probed.get_or_insert_with(|| cause.clone());
            }
        }
        probed.map_or(Verdict::Go, |cause| Verdict::Probe { cause })
    }

    /// The cause that holds it longest.
    fn paused(&self, member: &str, now: Instant) -> Option<Pause> {
        self.open
            .iter()
            .filter(|(_, open)| open.held.contains(member))
            .filter_map(|(cause, open)| open.holds(member, now).map(|until| (cause, open, until)))
            .max_by_key(|(_, _, until)| *until)
            .map(|(cause, open, until)| Pause { cause: cause.clone(), until, held: open.held.len(), news: false })
    }

    fn standing(&self, member: &str, now: Instant) -> Verdict {
        self.paused(member, now).map_or(Verdict::Go, Verdict::Paused)
    }

    fn forget_reports(&mut self, member: &str) {
        self.reports.retain(|_, reports| {
            reports.remove(member);
            !reports.is_empty()
        });
    }
}

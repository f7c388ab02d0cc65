//! What a node may spend on models in a day (UTC), whatever its agents' own budgets are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenroom_contract::MicroUsd;
use jiff::Timestamp;

const DAY_SECONDS: i64 = 86_400;

/// The node's account of the day. Clones are the same account.
#[derive(Clone, Default)]
pub struct Allowance(Arc<Inner>);

#[derive(Default)]
struct Inner {
    most: Option<MicroUsd>,
    today: Mutex<Today>,
}

#[derive(Default)]
struct Today {
    day: i64,
    spent: MicroUsd,
    held: MicroUsd,
}

/// Why a call does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) most: MicroUsd,
    pub(crate) spent: MicroUsd,
    pub(crate) held: MicroUsd,
}

impl Allowance {
    /// At most so much in a day, of which `spent` is spent already. The default is no limit.
    pub fn new(most: Option<MicroUsd>, spent: MicroUsd, now: Timestamp) -> Self {
        let today = Today { day: day_of(now), spent, held: MicroUsd::default() };
        Self(Arc::new(Inner { most, today: Mutex::new(today) }))
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.0.most.is_some()
    }

    /// Sets the most that a call can cost aside.
    pub(crate) fn hold(&self, amount: MicroUsd, now: Timestamp) -> Result<Hold, Full> {
        let mut today = self.today();
        let day = day_of(now);
        if today.day != day {
            // What is still under way goes into the new day's account when it ends.
            (today.day, today.spent) = (day, MicroUsd::default());
        }
        match self.0.most {
            Some(most) if today.spent + today.held + amount > most => {
                Err(Full { most, spent: today.spent, held: today.held })
            }
            _ => {
                today.held = today.held + amount;
                Ok(Hold { of: self.clone(), amount, cost: amount })
            }
        }
    }

    fn today(&self) -> MutexGuard<'_, Today> {
        self.0.today.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Money set aside for a call. Whoever drops it without a word has spent all of it: a call that was broken off may have
/// to be paid.
pub(crate) struct Hold {
    of: Allowance,
    amount: MicroUsd,
    cost: MicroUsd,
}

impl Hold {
    /// The call is over and cost this.
    pub(crate) fn settle(mut self, cost: MicroUsd) {
        self.cost = cost;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut today = self.of.today();
        today.held = MicroUsd(today.held.0 - self.amount.0);
        today.spent = today.spent + self.cost;
    }
}

fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY_SECONDS)
}

/// The beginning of the day in which `now` lies, in UTC.
pub(crate) fn start_of_day(now: Timestamp) -> Timestamp {
    Timestamp::from_second(day_of(now) * DAY_SECONDS).unwrap_or(now)
}

/// What a node spent today, for [`Allowance::new`].
pub async fn spent_today(
    state: &dyn greenroom_contract::port::state::State,
    node: &greenroom_contract::NodeId,
    now: Timestamp,
) -> greenroom_contract::port::state::Result<MicroUsd> {
    state.spent_by_node(node, start_of_day(now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_held_counts_and_what_is_settled_counts_as_it_cost() {
        let allowance = Allowance::new(Some(MicroUsd(100)), MicroUsd(10), at(0));
        let first = allowance.hold(MicroUsd(60), at(1)).ok().unwrap();
        let full = allowance.hold(MicroUsd(31), at(2)).err().unwrap();
        assert_eq!((full.spent, full.held), (MicroUsd(10), MicroUsd(60)));
        first.settle(MicroUsd(5));
        allowance.hold(MicroUsd(85), at(3)).ok().unwrap().settle(MicroUsd(0));
        drop(allowance.hold(MicroUsd(80), at(4)).ok().unwrap());
        assert!(allowance.hold(MicroUsd(6), at(5)).is_err(), "a call that was broken off counts in full");
    }

    #[test]
    fn a_day_begins_anew_and_no_limit_is_none() {
        let allowance = Allowance::new(Some(MicroUsd(100)), MicroUsd(100), at(DAY_SECONDS - 1));
        assert!(allowance.hold(MicroUsd(1), at(DAY_SECONDS - 1)).is_err());
        let late = allowance.hold(MicroUsd(100), at(DAY_SECONDS)).ok().unwrap();
        assert!(allowance.hold(MicroUsd(1), at(2 * DAY_SECONDS)).is_err(), "what is under way still counts");
        late.settle(MicroUsd(40));
        assert!(allowance.hold(MicroUsd(60), at(2 * DAY_SECONDS)).is_ok());
        assert!(Allowance::default().hold(MicroUsd(i64::MAX), at(0)).is_ok());
    }
}

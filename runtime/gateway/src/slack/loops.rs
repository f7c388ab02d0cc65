//! Two bots that answer each other never end. A bot that may be heard at all wakes agents only so often in one thread,
//! until a person speaks there or time goes by.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many turns of bots in one thread.
const MOST: u32 = 5;
/// After this long it is another conversation.
const WITHIN: Duration = Duration::from_secs(3600);
/// So many threads are counted; those that are over are dropped first.
const REMEMBERED: usize = 10_000;

/// What bots caused, by thread. Each node counts for itself.
#[derive(Debug, Default)]
pub(super) struct Loops(Mutex<HashMap<String, Turns>>);

#[derive(Debug)]
struct Turns {
    count: u32,
    since: Instant,
}

impl Loops {
    /// A person speaks in a thread: whatever bots do there now is wanted.
    pub(super) fn person(&self, thread: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(thread);
    }

    /// Whether a bot may have another turn in a thread.
    pub(super) fn bot(&self, thread: &str, now: Instant) -> bool {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= REMEMBERED {
            threads.retain(|_, turns| now.duration_since(turns.since) < WITHIN);
        }
        if threads.len() >= REMEMBERED && !threads.contains_key(thread) {
            return false;
        }
        let turns = threads.entry(thread.to_owned()).or_insert(Turns { count: 0, since: now });
        if now.duration_since(turns.since) >= WITHIN {
            *turns = Turns { count: 0, since: now };
        }
        turns.count += 1;
        turns.count <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bots_have_so_many_turns_in_a_thread_until_a_person_speaks() {
        let (loops, now) = (Loops::default(), Instant::now());
        let turns = |thread: &str, now| (0..20).filter(|_| loops.bot(thread, now)).count();
        assert_eq!(turns("T1:C1:1", now), MOST as usize);
        assert_eq!(turns("T1:C1:2", now), MOST as usize, "each thread for itself");
        loops.person("T1:C1:1");
        assert_eq!(turns("T1:C1:1", now), MOST as usize);
        assert_eq!(turns("T1:C1:1", now + WITHIN / 2), 0);
        assert_eq!(turns("T1:C1:1", now + WITHIN), MOST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_has_a_bound_and_what_is_over_it_is_not_let_in() {
        let (loops, now) = (Loops::default(), Instant::now());
        for n in 0..REMEMBERED {
            assert!(loops.bot(&n.to_string(), now));
        }
        assert!(!loops.bot("another", now));
        assert!(loops.bot("another", now + WITHIN));
    }
}

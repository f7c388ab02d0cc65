//! When Slack may be called again. It counts by workspace and method, and posts by channel; who does not wait when it is
//! told to is told to wait longer.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// About one post a second into one channel, in the long run.
const BETWEEN_POSTS: Duration = Duration::from_secs(1);
/// So much of it may be used up at once: a few posts in a row are welcome.
const BURST: Duration = Duration::from_secs(4);
/// So many waits are remembered; those that are over are dropped first.
const REMEMBERED: usize = 4096;

/// What is limited: a workspace, a method, and the channel where the limit is a channel's.
type Key = (String, &'static str, Option<String>);

/// Until when what has to wait.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<Key, Instant>);

impl Limits {
    /// How long a call has to wait from now.
    pub(super) fn wait(&self, team: &str, method: &'static str, channel: Option<&str>, now: Instant) -> Duration {
        let until = |place: Option<&str>| self.0.get(&(team.to_owned(), method, place.map(str::to_owned)));
        let told = until(None).map(|until| until.saturating_duration_since(now));
        let paced = channel.and_then(|channel| until(Some(channel)));
        let paced = paced.map(|until| until.saturating_duration_since(now + BURST));
        told.unwrap_or_default().max(paced.unwrap_or_default())
    }

    /// A post goes out: the next one into this channel keeps its distance.
    pub(super) fn posted(&mut self, team: &str, method: &'static str, channel: &str, now: Instant) {
        let key = (team.to_owned(), method, Some(channel.to_owned()));
        let used_up = self.0.get(&key).copied().unwrap_or(now).max(now);
        self.hold(key, used_up + BETWEEN_POSTS, now);
    }

    /// Slack has said how long a method is to be left alone in a workspace.
    pub(super) fn told(&mut self, team: &str, method: &'static str, wait: Duration, now: Instant) {
        self.hold((team.to_owned(), method, None), now + wait, now);
    }

    fn hold(&mut self, key: Key, until: Instant, now: Instant) {
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, until| *until > now);
        }
        // Whoever is not remembered is held back by Slack itself.
        if self.0.len() < REMEMBERED {
            let held = self.0.entry(key).or_insert(until);
            *held = (*held).max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = "chat.postMessage";

    #[tokio::test(start_paused = true)]
    async fn what_slack_says_holds_for_the_method_in_its_workspace_and_nowhere_else() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        limits.told("T1", POST, Duration::from_secs(30), now);
        assert_eq!(limits.wait("T1", POST, Some("C1"), now), Duration::from_secs(30));
        assert_eq!(limits.wait("T1", POST, Some("C2"), now + Duration::from_secs(10)), Duration::from_secs(20));
        assert_eq!(limits.wait("T1", "chat.update", Some("C1"), now), Duration::ZERO);
        assert_eq!(limits.wait("T2", POST, Some("C1"), now), Duration::ZERO);
        limits.told("T1", POST, Duration::from_secs(5), now);
        assert_eq!(limits.wait("T1", POST, None, now), Duration::from_secs(30), "a shorter word does not shorten it");
        assert_eq!(limits.wait("T1", POST, None, now + Duration::from_secs(31)), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn posts_into_one_channel_keep_their_distance_and_memory_has_a_bound() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        for _ in 0..5 {
            assert_eq!(limits.wait("T1", POST, Some("C1"), now), Duration::ZERO, "a few in a row");
            limits.posted("T1", POST, "C1", now);
        }
        assert_eq!(limits.wait("T1", POST, Some("C1"), now), BETWEEN_POSTS);
        limits.posted("T1", POST, "C1", now);
        assert_eq!(limits.wait("T1", POST, Some("C1"), now), 2 * BETWEEN_POSTS);
        assert_eq!(limits.wait("T1", POST, Some("C1"), now + 2 * BETWEEN_POSTS), Duration::ZERO);
        assert_eq!(limits.wait("T1", POST, Some("C2"), now), Duration::ZERO);
        for n in 0..10_000 {
            limits.posted("T1", POST, &format!("C{n}"), now);
        }
        assert!(limits.0.len() <= REMEMBERED);
        let later = now + Duration::from_secs(20);
        limits.posted("T1", POST, "fresh", later);
        assert_eq!(limits.0.len(), 1, "what is over makes room");
    }
}

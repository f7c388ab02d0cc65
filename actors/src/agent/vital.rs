//! Whether a shell answers, and for how long its agent has had nothing to do: pure.

use std::time::Duration;

use tokio::time::Instant;

/// An answer that takes longer is late.
const LATE: Duration = Duration::from_secs(1);
/// A shell that does not answer for so long is killed.
const DEAF: Duration = Duration::from_secs(10);
/// The longest time between two questions.
const AT_MOST: Duration = Duration::from_secs(60);

/// What the rounds know of an agent.
#[derive(Debug, Default)]
pub(super) struct Vital {
    asked: Option<Asked>,
    last_ping: Option<Instant>,
    /// Since when it has had nothing to do, or since sleep was proposed last.
    idle: Option<Instant>,
    turn: u64,
    asleep: bool,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    late: bool,
}

/// What the rounds do about an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing.
    Nothing,
    /// Ask whether it answers.
    Ping,
    /// Say that it is late.
    Late,
    /// Kill its shell.
    Kill,
    /// Put it to sleep, unless it works since this turn.
    Passivate(u64),
}

impl Vital {
    /// Decides, and notes what is done.
    pub(super) fn care(&mut self, now: Instant, ping_every: Duration, flush_after: Duration) -> Care {
        if self.asleep {
            return Care::Nothing;
        }
        if let Some(asked) = &mut self.asked {
            let silent = now.saturating_duration_since(asked.at);
            if silent >= DEAF {
                self.asked = None;
                return Care::Kill;
            }
            if silent >= LATE && !asked.late {
                asked.late = true;
                return Care::Late;
            }
            return Care::Nothing;
        }
        if self.last_ping.is_none_or(|last| now.saturating_duration_since(last) >= ping_every.min(AT_MOST)) {
            self.last_ping = Some(now);
            self.asked = Some(Asked { at: now, late: false });
            return Care::Ping;
        }
        if self.idle.is_some_and(|since| now.saturating_duration_since(since) >= flush_after) {
            // It may have a reason to stay up now that it has not later.
            self.idle = Some(now);
            return Care::Passivate(self.turn);
        }
        Care::Nothing
    }

    /// It answered, or there was nobody to ask.
    pub(super) fn answered(&mut self) {
        self.asked = None;
    }

    /// It sleeps: there is nobody to ask.
    pub(super) fn asleep(&mut self) {
        (self.asleep, self.asked) = (true, None);
    }

    /// It begins, or begins anew, and has that to do.
    pub(super) fn awake(&mut self, now: Instant) {
        (self.asleep, self.asked) = (false, None);
        self.works(true, now);
    }

    /// It has something to do, or has not; returns the turn, which grows each time that it begins to have.
    pub(super) fn works(&mut self, works: bool, now: Instant) -> u64 {
        match (works, self.idle) {
            (true, Some(_)) => {
                self.idle = None;
                self.turn += 1;
            }
            (false, None) => self.idle = Some(now),
            _ => {}
        }
        self.turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);
    const FLUSH: Duration = Duration::from_secs(600);

    fn care(vital: &mut Vital, start: Instant, secs: u64) -> Care {
        vital.care(start + Duration::from_secs(secs), EVERY, FLUSH)
    }

    #[test]
    fn it_is_asked_in_time_and_a_deaf_one_is_killed() {
        let (mut vital, start) = (Vital::default(), Instant::now());
        assert_eq!(care(&mut vital, start, 0), Care::Ping);
        vital.answered();
        assert_eq!(care(&mut vital, start, 29), Care::Nothing);
        assert_eq!(care(&mut vital, start, 30), Care::Ping);
        assert_eq!(care(&mut vital, start, 31), Care::Late);
        assert_eq!(care(&mut vital, start, 32), Care::Nothing, "said once");
        assert_eq!(care(&mut vital, start, 40), Care::Kill);
        assert_eq!(care(&mut vital, start, 41), Care::Nothing);
    }

    #[test]
    fn who_sleeps_is_not_asked_and_after_waking_sleep_is_proposed_again() {
        let (mut vital, start) = (Vital::default(), Instant::now());
        vital.works(false, start);
        assert_eq!(care(&mut vital, start, 600), Care::Ping);
        assert_eq!(care(&mut vital, start, 601), Care::Late);
        vital.asleep();
        assert_eq!(care(&mut vital, start, 700), Care::Nothing);
        vital.awake(start + Duration::from_secs(700));
        vital.works(false, start + Duration::from_secs(700));
        assert_eq!(care(&mut vital, start, 710), Care::Ping);
        vital.answered();
        vital.last_ping = Some(start + Duration::from_secs(1290));
        assert_eq!(care(&mut vital, start, 1300), Care::Passivate(1));
    }

    #[test]
    fn no_setting_makes_the_questions_rarer_than_once_a_minute() {
        let (mut vital, start) = (Vital::default(), Instant::now());
        let hour = Duration::from_secs(3600);
        assert_eq!(vital.care(start, hour, FLUSH), Care::Ping);
        vital.answered();
        assert_eq!(vital.care(start + Duration::from_secs(60), hour, FLUSH), Care::Ping);
    }

    #[test]
    fn sleep_is_proposed_again_in_its_time_and_activity_begins_another_turn() {
        let (mut vital, start) = (Vital::default(), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        vital.last_ping = Some(at(590));
        assert_eq!(vital.works(false, at(0)), 0);
        assert_eq!(care(&mut vital, start, 599), Care::Nothing);
        assert_eq!(care(&mut vital, start, 600), Care::Passivate(0));
        assert_eq!(care(&mut vital, start, 601), Care::Nothing, "it was told");
        vital.last_ping = Some(at(1190));
        assert_eq!(care(&mut vital, start, 1199), Care::Nothing);
        assert_eq!(care(&mut vital, start, 1200), Care::Passivate(0), "it could not be followed then");
        assert_eq!(vital.works(true, at(1202)), 1, "a proposal that is still on its way is void");
        assert_eq!(vital.works(true, at(1203)), 1);
        vital.works(false, at(1204));
        vital.last_ping = Some(at(1800));
        assert_eq!(care(&mut vital, start, 1803), Care::Nothing);
        assert_eq!(care(&mut vital, start, 1804), Care::Passivate(1));
    }
}

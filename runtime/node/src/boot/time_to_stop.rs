//! How the time to stop is shared out: pure.

use std::time::Duration;

/// What services get at most: to send what agents left behind, and to end the requests that are still open.
const SERVICES: Duration = Duration::from_secs(6);
/// How long the store gets to take the lease back.
const LEAVE: Duration = Duration::from_secs(1);
/// What the agents' supervisor gets beyond its children's time, to carry out the last kills.
const LAST_KILLS: Duration = Duration::from_secs(1);

/// The parts of `GREENROOM_SHUTDOWN_GRACE`. Together they are no longer than it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeToStop {
    /// What agents get: to finish, to stop between two calls, and to give back what was aborted.
    pub(super) agents: Duration,
    /// When the agents' supervisor is waited for no longer.
    pub(super) agents_down: Duration,
    /// What services get after that.
    pub(super) services: Duration,
    /// What the store gets last, to take the node's lease back.
    pub(super) leave: Duration,
}

impl TimeToStop {
    pub(super) fn within(grace: Duration) -> Self {
        let services = SERVICES.min(grace / 4);
        let leave = LEAVE.min(grace / 12);
        let agents_down = grace - services - leave;
        Self { agents: agents_down - LAST_KILLS.min(agents_down / 4), agents_down, services, leave }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_fit_into_the_whole_and_each_has_something() {
        let secs = Duration::from_secs;
        let usual = TimeToStop::within(secs(30));
        assert_eq!(usual, TimeToStop { agents: secs(22), agents_down: secs(23), services: secs(6), leave: secs(1) });
        for grace in [secs(1), secs(3), secs(10), secs(600)] {
            let parts = TimeToStop::within(grace);
            let all = parts.agents_down + parts.services + parts.leave;
            assert!(all <= grace && parts.agents < parts.agents_down, "{parts:?}");
            assert!(parts.agents >= grace / 2, "work gets the most of it: {parts:?}");
        }
    }
}

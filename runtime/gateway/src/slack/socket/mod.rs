//! Socket Mode: Slack's requests by a connection that the node opens, for a laptop that Slack cannot reach. What comes is the
//! same as at the HTTP door, and is taken alike; there is no signature, because Slack's own address was dialled.
//!
//! * `frame`: what Slack says and is told (pure)
//! * `backoff`: when to dial again (pure)
//! * `line`: one connection
//! * `keeper`: `SlackSocket`, which sees to it that there is one, and that the next is there before the last one goes

mod backoff;
mod frame;
mod keeper;
mod line;
#[cfg(test)]
mod tests;

pub use keeper::SlackSocket;

//! Slack: its requests come in at station 1, answers go out at station 9.
//!
//! * `door`: verify, classify, publish, acknowledge
//! * `signature`: whether Slack sent it (pure)
//! * `body`: the two forms that a request has (pure)
//! * `classify`: what it is (pure), with `message` for the Events API and `interaction` for clicks, views, shortcuts
//! * `draft`: what all kinds become: one shape of payload, a topic, an id that Slack's retries share
//! * `reply`: the way back

mod body;
mod classify;
mod door;
mod draft;
mod interaction;
mod message;
mod reply;
mod signature;
#[cfg(test)]
mod tests;

pub use door::SlackDoor;
pub(crate) use door::routes;
pub use reply::{ReplyOptions, SetupError, SlackReplies};

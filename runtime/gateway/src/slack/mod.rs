//! Slack: its requests come in at station 1, answers go out at station 9.
//!
//! * `door`: verify, classify, publish, acknowledge
//! * `signature`: whether Slack sent it (pure)
//! * `body`: the two forms that a request has (pure)
//! * `classify`: what it is (pure), with `message` for the Events API and `interaction` for clicks, views, shortcuts
//! * `draft`: what all kinds become: one shape of payload, a topic, an id that Slack's retries share
//! * `taken`: what the door makes of a request that is something: events, answers, a stop
//! * `stop`, `loops`: a person ends a conversation's work; bots do not talk for ever
//! * `access`: who may do what (pure)
//! * `ask`: questions to people, as cards with buttons
//! * `web`: Slack's side of the wire
//! * `signs`: what shows that an agent is at work, with `preview` for what it says meanwhile
//! * `socket`: the same requests by a connection that the node opens
//! * `reply`: the way back

mod access;
mod ask;
mod body;
mod classify;
mod door;
mod draft;
#[cfg(test)]
mod fuzz;
mod interaction;
mod loops;
mod message;
mod preview;
mod reply;
mod signature;
mod signs;
mod socket;
mod stop;
mod taken;
#[cfg(test)]
mod tests;
mod web;

pub use access::SlackRules;
pub use door::SlackDoor;
pub(crate) use door::routes;
pub use reply::SlackReplies;
pub use signs::SlackSigns;
pub use socket::SlackSocket;
pub use web::{SetupError, SlackWeb, WebOptions};

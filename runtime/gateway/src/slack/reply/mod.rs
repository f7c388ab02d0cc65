//! Station 9: answers to Slack.
//!
//! * `sender`: `SlackReplies`, which sends an answer by its `response_url` or into its channel
//! * `cards`: makes the messages that show a question agree with the store
//! * `file`: an answer that is too long for messages
//! * `messages`: an answer as Slack takes it (pure)
//! * `mrkdwn`: Markdown in Slack's own dialect (pure)
//! * `split`: a long answer in several messages (pure)

mod cards;
#[cfg(test)]
mod cards_tests;
mod file;
mod messages;
mod mrkdwn;
mod sender;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use mrkdwn::mrkdwn;
pub use sender::SlackReplies;
pub(crate) use split::split;

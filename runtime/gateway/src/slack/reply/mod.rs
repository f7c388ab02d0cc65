//! Station 9: answers to Slack.
//!
//! * `sender`: `SlackReplies`, which sends an answer by its `response_url` or into its channel
//! * `post`: one request to Slack, and what its answer means
//! * `address`: which `response_url` may be posted to
//! * `mrkdwn`: Markdown in Slack's own dialect (pure)
//! * `split`: a long answer in several messages (pure)

mod address;
mod mrkdwn;
mod post;
mod sender;
mod split;
#[cfg(test)]
mod tests;

pub use sender::{ReplyOptions, SetupError, SlackReplies};

//! Each reply to the room that knows its kind.

use greenroom_contract::{
    BoxFuture,
    event::ReplyTo,
    port::reply::{Error, Replies, Reply},
};
use greenroom_gateway::slack::SlackReplies;

/// All ways back to people.
pub(super) struct WaysBack {
    pub(super) slack: SlackReplies,
}

impl Replies for WaysBack {
    fn send(&self, reply: Reply) -> BoxFuture<'_, Result<(), Error>> {
        match &reply.to {
            ReplyTo::Slack(_) => self.slack.send(reply),
            ReplyTo::Topic { topic } => {
                // An answer to a topic is an event and goes by the bus; it never becomes a reply row.
                let reason = format!("topic {topic} is not a person");
                Box::pin(std::future::ready(Err(Error::Undeliverable { reason })))
            }
            ReplyTo::Caller { .. } => {
                // An answer to another agent is written with the end of its execution.
                let reason = "another agent is not a person".to_owned();
                Box::pin(std::future::ready(Err(Error::Undeliverable { reason })))
            }
        }
    }
}

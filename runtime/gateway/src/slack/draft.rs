//! What every kind of request becomes: a topic, an id, and one shape of payload.

use greenroom_contract::{
    EventId,
    event::SlackReply,
    topic::{MAX_TOPIC_BYTES, word},
};
use serde_json::{Map, Value, json};

/// An event on its way to the bus, without what only the door knows (trace id, time).
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) topic: String,
    pub(crate) id: EventId,
    pub(crate) payload: Value,
    pub(crate) conversation: Option<String>,
    pub(crate) reply: SlackReply,
    /// Slack's own id of the delivery.
    pub(crate) correlation: Option<String>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the words nor the reply address belong into a log.
        f.debug_struct("Draft").field("topic", &self.topic).field("id", &self.id).finish_non_exhaustive()
    }
}

/// The fields that every kind has, present or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common<'a> {
    pub(crate) kind: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) channel: Option<&'a str>,
    pub(crate) team: Option<&'a str>,
    pub(crate) thread_ts: Option<&'a str>,
    pub(crate) ts: Option<&'a str>,
    pub(crate) text: String,
}

impl Common<'_> {
    /// The payload: the same fields for every kind, and `more` where a kind has more to say. It depends on nothing but
    /// the request's content, so that Slack's retries of a request have the same.
    pub(crate) fn payload(&self, more: Map<String, Value>) -> Value {
        let mut payload = json!({
            "event_type": self.kind,
            "user_id": self.user,
            "channel_id": self.channel,
            "team_id": self.team,
            "thread_ts": self.thread_ts,
            "ts": self.ts,
            "text": self.text,
        });
        if let Value::Object(fields) = &mut payload {
            fields.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        payload
    }

    /// Which conversation of a continuous agent this belongs to: a thread in a channel, the whole of a direct message.
    pub(crate) fn conversation(&self) -> Option<String> {
        let (team, channel) = (self.team.unwrap_or("-"), self.channel?);
        let thread = self.thread_ts.or(self.ts).filter(|_| !self.is_direct());
        Some(match thread {
            Some(thread) => format!("{team}:{channel}:{thread}"),
            None => format!("{team}:{channel}"),
        })
    }

    /// Where the answer goes: into the thread, which a message in a channel begins if it is in none.
    pub(crate) fn reply(&self, response_url: Option<&str>) -> SlackReply {
        let thread = if self.is_direct() { self.thread_ts } else { self.thread_ts.or(self.ts) };
        SlackReply {
            response_url: response_url.map(str::to_owned),
            team_id: self.team.map(str::to_owned),
            channel_id: self.channel.map(str::to_owned),
            thread_ts: thread.map(str::to_owned),
        }
    }

    /// Slack's ids of direct messages begin with D.
    fn is_direct(&self) -> bool {
        self.channel.is_some_and(|channel| channel.starts_with('D'))
    }
}

/// `slack.events.{kind}.{name}`, with both made words that a topic may hold.
pub(crate) fn topic(kind: &str, name: &str) -> String {
    let mut topic = format!("slack.events.{}.{}", word(kind), word(name));
    // 64 characters can be 256 bytes: what is over is cut at a character.
    while topic.len() > MAX_TOPIC_BYTES {
        topic.pop();
    }
    topic
}

/// A text at a JSON pointer; an empty one counts as absent.
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// The first text at one of several pointers.
pub(crate) fn first<'a>(value: &'a Value, pointers: &[&str]) -> Option<&'a str> {
    pointers.iter().find_map(|pointer| at(value, pointer))
}

#[cfg(test)]
mod tests {
    use greenroom_contract::topic::check_topic;

    use super::*;

    #[test]
    fn any_name_makes_a_topic_that_can_be_published_to() {
        assert_eq!(topic("command", "support"), "slack.events.command.support");
        assert_eq!(topic("action", "a.b c*#"), "slack.events.action.a_b_c__");
        for name in ["", "\u{1f600}".repeat(80).as_str(), "a..b", "\n"] {
            let made = topic("action", name);
            assert_eq!(check_topic(&made), Ok(()), "{made:?}");
        }
    }

    #[test]
    fn a_thread_is_a_conversation_and_so_is_a_direct_message() {
        let in_channel = Common {
            team: Some("T1"),
            channel: Some("C1"),
            ts: Some("2.0"),
            thread_ts: Some("1.0"),
            ..Common::default()
        };
        assert_eq!(in_channel.conversation().unwrap(), "T1:C1:1.0");
        let first = Common { thread_ts: None, ..in_channel.clone() };
        assert_eq!(first.conversation().unwrap(), "T1:C1:2.0");
        assert_eq!(first.reply(None).thread_ts.unwrap(), "2.0", "an answer begins a thread");
        let direct = Common { channel: Some("D1"), thread_ts: None, ..in_channel };
        assert_eq!(direct.conversation().unwrap(), "T1:D1");
        assert_eq!(direct.reply(None).thread_ts, None, "an answer in a direct message needs no thread");
        assert_eq!(Common::default().conversation(), None);
    }
}

//! What every kind of request becomes: a topic, an id, and one shape of payload.

use greenroom_config::DirectMessages;
use greenroom_contract::{
    EventId,
    event::{SlackReply, SlackUser},
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
    /// Under which topic it is told of, too.
    pub(crate) also: Also,
    /// Whether a bot made it that may be heard.
    pub(crate) by_bot: bool,
}

/// A second topic of the same event, for those who want only such: its id is the same, so that whoever listens to both has it
/// once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Also {
    #[default]
    Nothing,
    /// `slack.events.direct_message.{channel}`.
    DirectMessage,
    /// `slack.events.thread.{channel}`, if an agent takes part in the thread.
    Thread {
        /// The app began it.
        ours: bool,
        /// The event that the message which began it became.
        root: EventId,
    },
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
    /// The user's own workspace, where it is another one.
    pub(crate) user_team: Option<&'a str>,
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

    /// Which conversation of a continuous agent this belongs to: a thread in a channel; in a direct message as it is set.
    pub(crate) fn conversation(&self, direct: DirectMessages) -> Option<String> {
        let (team, channel) = (self.team.unwrap_or("-"), self.channel?);
        let thread = match direct {
            _ if !self.is_direct() => self.thread_ts.or(self.ts),
            DirectMessages::Thread => self.thread_ts,
            DirectMessages::Whole => None,
            DirectMessages::Message => self.thread_ts.or(self.ts),
        };
        Some(match thread {
            Some(thread) => format!("{team}:{channel}:{thread}"),
            None => format!("{team}:{channel}"),
        })
    }

    /// Where the answer goes: into the thread, which a message in a channel begins if it is in none; in a direct message
    /// only where each begins a conversation.
    pub(crate) fn reply(&self, response_url: Option<&str>, direct: DirectMessages) -> SlackReply {
        let begins = !self.is_direct() || direct == DirectMessages::Message;
        let thread = self.thread_ts.or(self.ts.filter(|_| begins));
        SlackReply {
            response_url: response_url.map(str::to_owned),
            team_id: self.team.map(str::to_owned),
            channel_id: self.channel.map(str::to_owned),
            thread_ts: thread.map(str::to_owned),
            user: self.who(),
        }
    }

    /// Whose doing it is.
    pub(crate) fn who(&self) -> Option<SlackUser> {
        let (user, team) = (self.user?, self.user_team.or(self.team)?);
        Some(SlackUser { team_id: team.to_owned(), user_id: user.to_owned() })
    }

    /// Slack's ids of direct messages begin with D.
    pub(crate) fn is_direct(&self) -> bool {
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
        let thread = DirectMessages::Thread;
        assert_eq!(in_channel.conversation(thread).unwrap(), "T1:C1:1.0");
        let first = Common { thread_ts: None, ..in_channel.clone() };
        assert_eq!(first.conversation(thread).unwrap(), "T1:C1:2.0");
        assert_eq!(first.reply(None, thread).thread_ts.unwrap(), "2.0", "an answer begins a thread");
        let direct = Common { channel: Some("D1"), thread_ts: None, ..in_channel.clone() };
        assert_eq!(direct.conversation(thread).unwrap(), "T1:D1");
        assert_eq!(direct.reply(None, thread).thread_ts, None, "an answer in a direct message needs no thread");
        assert_eq!(Common::default().conversation(thread), None);
    }

    #[test]
    fn what_of_a_direct_message_is_one_conversation_is_set() {
        let opened = Common {
            team: Some("T1"),
            channel: Some("D1"),
            ts: Some("2.0"),
            thread_ts: Some("1.0"),
            ..Common::default()
        };
        let plain = Common { thread_ts: None, ..opened.clone() };
        for (policy, in_thread, alone, answered_in) in [
            (DirectMessages::Thread, "T1:D1:1.0", "T1:D1", None),
            (DirectMessages::Whole, "T1:D1", "T1:D1", None),
            (DirectMessages::Message, "T1:D1:1.0", "T1:D1:2.0", Some("2.0")),
        ] {
            assert_eq!(opened.conversation(policy).unwrap(), in_thread, "{policy:?}");
            assert_eq!(plain.conversation(policy).unwrap(), alone, "{policy:?}");
            assert_eq!(plain.reply(None, policy).thread_ts.as_deref(), answered_in, "{policy:?}");
            assert_eq!(opened.reply(None, policy).thread_ts.as_deref(), Some("1.0"), "{policy:?}");
        }
    }
}

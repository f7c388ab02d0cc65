//! Topics and topic patterns, as in AMQP's topic exchange: words separated by dots, `*` for one word, `#` for any number.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest topic or pattern, in bytes (AMQP 0-9-1: a routing key is a short string).
pub const MAX_TOPIC_BYTES: usize = 255;

/// The first words of topics under which only the runtime itself speaks: what it tells of itself must not be forged.
pub const RESERVED: [&str; 4] = ["cluster", "collaboration", "greenroom", "scheduled"];

/// Why a topic or a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// Nothing was given, or two dots stand side by side.
    #[error("has an empty word; words are separated by single dots")]
    EmptyWord,
    /// More than 255 bytes.
    #[error("is longer than {MAX_TOPIC_BYTES} bytes")]
    TooLong,
    /// A blank or a control character.
    #[error("contains {0:?}; blanks and control characters are not allowed")]
    BadCharacter(char),
    /// `*` or `#` inside a word, or in a topic that is published to.
    #[error("has a wildcard inside the word {0:?}; `*` and `#` stand for whole words of a pattern only")]
    WildcardInWord(String),
    /// A topic of the runtime itself, from somebody else.
    #[error("begins with {0:?}, under which only the runtime itself speaks")]
    Reserved(&'static str),
}

/// Checks a topic that an event is published under.
pub fn check_topic(topic: &str) -> Result<(), InvalidTopic> {
    check_words(topic)?;
    match topic.split('.').find(|word| word.contains(['*', '#'])) {
        Some(word) => Err(InvalidTopic::WildcardInWord(word.to_owned())),
        None => Ok(()),
    }
}

/// Checks a topic that somebody else than the runtime publishes under: a person, an agent, a program. Everybody may
/// listen to what the runtime tells; `agent.input.NAME` is open, because giving an agent work is what events are for.
pub fn check_open_topic(topic: &str) -> Result<(), InvalidTopic> {
    check_topic(topic)?;
    let first = topic.split('.').next();
    match RESERVED.into_iter().find(|reserved| first.is_some_and(|first| first.eq_ignore_ascii_case(reserved))) {
        Some(reserved) => Err(InvalidTopic::Reserved(reserved)),
        None => Ok(()),
    }
}

/// Turns any text into one topic word, for ids that come from outside: what a topic may not hold becomes `_`.
pub fn word(text: &str) -> String {
    let clean: String = text
        .chars()
        .take(64)
        .map(|c| if c == '.' || c == '*' || c == '#' || c.is_whitespace() || c.is_control() { '_' } else { c })
        .collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

fn check_words(text: &str) -> Result<(), InvalidTopic> {
    if text.len() > MAX_TOPIC_BYTES {
        return Err(InvalidTopic::TooLong);
    }
    if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Err(InvalidTopic::BadCharacter(bad));
    }
    if text.split('.').any(str::is_empty) {
        return Err(InvalidTopic::EmptyWord);
    }
    Ok(())
}

/// A subscription: which topics a queue is bound to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPattern(String);

impl TopicPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event published under `topic` reaches this subscription.
    pub fn matches(&self, topic: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('.').collect();
        let words: Vec<&str> = topic.split('.').collect();
        // reach[i]: the pattern read so far can match the first i words.
        let mut reach = vec![false; words.len() + 1];
        reach[0] = true;
        for part in pattern {
            let mut next = vec![false; words.len() + 1];
            match part {
                "#" => {
                    let first = reach.iter().position(|r| *r).unwrap_or(words.len() + 1);
                    next.iter_mut().skip(first).for_each(|slot| *slot = true);
                }
                "*" => next[1..].copy_from_slice(&reach[..words.len()]),
                literal => {
                    for (i, word) in words.iter().enumerate() {
                        next[i + 1] = reach[i] && *word == literal;
                    }
                }
            }
            reach = next;
        }
        reach[words.len()]
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicPattern {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        check_words(text)?;
        match text.split('.').find(|word| word.len() > 1 && word.contains(['*', '#'])) {
            Some(word) => Err(InvalidTopic::WildcardInWord(word.to_owned())),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl Serialize for TopicPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TopicPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| de::Error::custom(format!("topic pattern {text:?} {error}")))
    }
}

impl JsonSchema for TopicPattern {
    fn schema_name() -> Cow<'static, str> {
        "TopicPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": MAX_TOPIC_BYTES,
            "description": "Words separated by dots; `*` stands for one word, `#` for any number of words."
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        pattern.parse::<TopicPattern>().unwrap().matches(topic)
    }

    #[test]
    fn wildcards_mean_what_they_mean_in_amqp() {
        assert!(matches("slack.events.command.support", "slack.events.command.support"));
        assert!(matches("slack.events.app_mention.*", "slack.events.app_mention.C1"));
        assert!(!matches("slack.events.app_mention.*", "slack.events.app_mention"));
        assert!(!matches("slack.*", "slack.events.message"));
        assert!(matches("slack.#", "slack"));
        assert!(matches("#", "anything.at.all"));
        assert!(matches("#.completed.*", "collaboration.completed.42"));
        assert!(matches("a.#.z", "a.z"));
        assert!(!matches("a.#.z", "a.b"));
    }

    #[test]
    fn bad_patterns_say_why() {
        assert_eq!("a..b".parse::<TopicPattern>().unwrap_err(), InvalidTopic::EmptyWord);
        assert_eq!("".parse::<TopicPattern>().unwrap_err(), InvalidTopic::EmptyWord);
        assert!(matches!("a.b*".parse::<TopicPattern>().unwrap_err(), InvalidTopic::WildcardInWord(_)));
        assert!(matches!("a b".parse::<TopicPattern>().unwrap_err(), InvalidTopic::BadCharacter(' ')));
        assert!(check_topic("a.*").is_err());
    }

    /// The definition, written as the obvious recursion.
    fn model(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            (["#", rest @ ..], _) => (0..=topic.len()).any(|n| model(rest, &topic[n..])),
            (["*", rest @ ..], [_, tail @ ..]) => model(rest, tail),
            ([word, rest @ ..], [first, tail @ ..]) => word == first && model(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(
            pattern in prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "#"]), 1..6),
            topic in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..7),
        ) {
            let parsed: TopicPattern = pattern.join(".").parse().unwrap();
            prop_assert_eq!(parsed.matches(&topic.join(".")), model(&pattern, &topic));
        }
    }
}

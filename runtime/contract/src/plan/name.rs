//! `$name`: how outputs and inputs are known, and paths into them.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// What is known under each name.
pub type Values = BTreeMap<Name, Value>;

/// The name of a step's output or of a plan's input: a letter or `_`, then letters, digits, `_` and `-`. Written with a
/// dollar, and read with or without one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(std::sync::Arc<str>);

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name; write `$` and a letter or `_`, then letters, digits, `_` or `-`, at most {LONGEST} bytes"
)]
pub struct InvalidName(String);

impl Name {
    /// What the task itself is known by in every plan: `$task`.
    pub fn task() -> Self {
        Self("task".into())
    }

    /// The name without its dollar.
    pub fn bare(&self) -> &str {
        &self.0
    }

    /// The name at the beginning of a text that follows a dollar, and what comes after it.
    pub(super) fn at_start(text: &str) -> Option<(Self, &str)> {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let end = text.find(|c| !inner(c)).unwrap_or(text.len());
        // A dash at the end is punctuation.
        let word = text[..end].trim_end_matches('-');
        Some((word.parse().ok()?, &text[word.len()..]))
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bare = text.strip_prefix('$').unwrap_or(text);
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let rest = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let valid = bare.starts_with(first) && bare.chars().all(rest) && bare.len() <= LONGEST;
        if valid { Ok(Self(bare.into())) } else { Err(InvalidName(text.to_owned())) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^\\$?[A-Za-z_][A-Za-z0-9_-]{0,63}$", "examples": ["$findings"],
            "description": "The name of an output or input: `$findings`."
        })
    }
}

/// A name, and a path into what it stands for: `$report.items[0].title`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The name.
    pub name: Name,
    /// The way into its value.
    pub path: Vec<Segment>,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    /// A field of an object.
    Field(String),
    /// A place in a list.
    Index(usize),
}

impl Reference {
    /// The reference at the beginning of a text that begins with `$`, and what comes after it. A dot or bracket that no
    /// field or number follows ends it: it is punctuation.
    pub(super) fn at_start(text: &str) -> Option<(Self, &str)> {
        let (name, mut rest) = Name::at_start(text.strip_prefix('$')?)?;
        let mut path = Vec::new();
        while let Some((segment, after)) = segment(rest) {
            path.push(segment);
            rest = after;
        }
        Some((Self { name, path }, rest))
    }

    /// What it leads to. A text that holds JSON is looked into as what it holds, because models answer so.
    pub fn look<'a>(&self, values: &'a Values) -> Option<Cow<'a, Value>> {
        let value = Cow::Borrowed(values.get(&self.name)?);
        self.path.iter().try_fold(value, |value, segment| step_into(value, segment))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        self.path.iter().try_for_each(|segment| match segment {
            Segment::Field(field) => write!(f, ".{field}"),
            Segment::Index(index) => write!(f, "[{index}]"),
        })
    }
}

fn segment(text: &str) -> Option<(Segment, &str)> {
    if let Some(after) = text.strip_prefix('.') {
        let inner = |c: char| c.is_alphanumeric() || c == '_';
        let end = after.find(|c| !inner(c)).unwrap_or(after.len());
        return (end > 0).then(|| (Segment::Field(after[..end].to_owned()), &after[end..]));
    }
    let (digits, after) = text.strip_prefix('[')?.split_once(']')?;
    Some((Segment::Index(digits.parse().ok()?), after))
}

fn step_into<'a>(value: Cow<'a, Value>, segment: &Segment) -> Option<Cow<'a, Value>> {
    let value = match &*value {
        Value::String(text) => Cow::Owned(serde_json::from_str(text.trim()).ok()?),
        _ => value,
    };
    match (value, segment) {
        (Cow::Borrowed(value), Segment::Field(field)) => value.get(field).map(Cow::Borrowed),
        (Cow::Borrowed(value), Segment::Index(index)) => value.get(index).map(Cow::Borrowed),
        (Cow::Owned(mut value), Segment::Field(field)) => value.get_mut(field).map(Value::take).map(Cow::Owned),
        (Cow::Owned(mut value), Segment::Index(index)) => value.get_mut(index).map(Value::take).map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_written_with_its_dollar_and_read_without_it_too() {
        let name: Name = "findings".parse().unwrap();
        assert_eq!(name, "$findings".parse().unwrap());
        assert_eq!(serde_json::to_value(&name).unwrap(), json!("$findings"));
        for bad in ["", "$", "$1st", "$a b", "$a.b", "$ü", &"x".repeat(65)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_reference_leads_into_objects_lists_and_texts_that_hold_json() {
        let values = Values::from([
            ("report".parse().unwrap(), json!({ "items": [{ "title": "one" }] })),
            ("said".parse().unwrap(), json!(" {\"score\": [7]} ")),
        ]);
        let look = |text: &str| {
            let (reference, rest) = Reference::at_start(text).unwrap();
            assert_eq!(format!("{reference}{rest}"), text);
            reference.look(&values).map(Cow::into_owned)
        };
        assert_eq!(look("$report.items[0].title"), Some(json!("one")));
        assert_eq!(look("$said.score[0], and more"), Some(json!(7)));
        assert_eq!(look("$report.items[1]"), None);
        assert_eq!(look("$nobody"), None);
        assert_eq!(look("$said."), Some(json!(" {\"score\": [7]} ")), "a full stop is no path");
    }
}

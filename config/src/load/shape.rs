//! A file's tree against the JSON Schema: every misspelt key and every value of a wrong kind, at once and in its place.

use greenroom_contract::{AgentId, TopicPattern};
use serde_json::Value;

use super::{
    Problem,
    definition::sounds_secret,
    problem::MOST_PROBLEMS,
    suggest::closest,
    tree::{Entry, Kind, Node, Place, clipped, join},
};
use crate::HumanDuration;

/// Compares the tree with a schema.
pub(super) fn check(root: &Node, schema: &'static Value, problems: &mut Vec<Problem>) {
    let mut shape = Shape { root: schema, problems };
    shape.node(root, schema, "", root.place);
}

struct Shape<'a> {
    root: &'static Value,
    problems: &'a mut Vec<Problem>,
}

impl Shape<'_> {
    fn report(&mut self, place: Place, path: &str, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.problems.push(Problem::at(place, path, message, help.into()));
    }

    /// `above` is the place of the key to which the node belongs.
    fn node(&mut self, node: &Node, schema: &'static Value, path: &str, above: Place) {
        let (schema, name) = resolve(self.root, schema);
        if let Some(choices) = schema["anyOf"].as_array() {
            let real: Vec<&'static Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
            let optional = real.len() < choices.len();
            match real[..] {
                _ if optional && node.is_null() => {}
                [only] => self.node(node, only, path, above),
                _ => self.choice(node, &real, path, above),
            }
            return;
        }
        if let Some(words) = words(schema) {
            return self.word(node, &words, path);
        }
        let types = types(schema);
        if types.is_empty() || (node.is_null() && types.contains(&"null")) {
            return;
        }
        match (types[0], &node.kind) {
            ("object", Kind::Map(entries)) => self.map(entries, schema, path, above),
            ("array", Kind::List(items)) => self.list(node, items, schema, path),
            ("string", Kind::Scalar(Value::String(text))) => self.text(node.place, text, name, schema, path),
            ("boolean", Kind::Scalar(Value::Bool(_))) => {}
            ("integer" | "number", Kind::Scalar(Value::Number(_))) => self.number(node, schema, path),
            (wanted, _) => self.wrong_kind(node, wanted, name, path, above),
        }
    }

    fn map(&mut self, entries: &[Entry], schema: &'static Value, path: &str, above: Place) {
        let known = schema["properties"].as_object();
        let names = || known.iter().flat_map(|known| known.keys()).map(String::as_str);
        let mut meant = Vec::new();
        for entry in entries {
            if self.problems.len() > MOST_PROBLEMS {
                return;
            }
            let path = join(path, &entry.key);
            match known.and_then(|known| known.get(&entry.key)) {
                Some(schema) => self.node(&entry.value, schema, &path, entry.key_place),
                None => match &schema["additionalProperties"] {
                    Value::Bool(false) => {
                        let near = closest(&entry.key, names().filter(|name| !has(entries, name)));
                        meant.extend(near);
                        let help = self.where_it_belongs(&entry.key, near, names().collect());
                        self.report(entry.key_place, &path, "unknown key", help);
                    }
                    any @ Value::Object(_) => self.node(&entry.value, any, &path, entry.key_place),
                    _ => {}
                },
            }
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !has(entries, required) && !meant.contains(&required) {
                let help = known.and_then(|known| known.get(required)).and_then(|schema| self.about(schema));
                self.report(above, &join(path, required), "is missing", help);
            }
        }
    }

    /// The help for an unknown key: the key that was meant, else where one of this name belongs, else the keys there are.
    fn where_it_belongs(&self, key: &str, near: Option<&str>, mut names: Vec<&str>) -> Option<String> {
        if let Some(near) = near.filter(|near| !sounds_secret(key) || !near.ends_with("_env")) {
            return Some(format!("did you mean {near:?}?"));
        }
        if let Some(home) = homes(self.root, key).into_iter().min_by_key(String::len) {
            return Some(format!("it belongs at `{home}`"));
        }
        if sounds_secret(key) {
            let help = "a secret does not stand in this file: put it into the environment or `.env`, and its name into \
                        `llm_config.api_key_env` or `auth.bearer_env`";
            return Some(help.to_owned());
        }
        names.sort_unstable();
        (!names.is_empty()).then(|| format!("the keys here are {}", names.join(", ")))
    }

    fn about(&self, schema: &'static Value) -> Option<String> {
        let description = schema["description"].as_str()?;
        let words = words(resolve(self.root, schema).0);
        Some(match words {
            Some(words) => format!("{description} One of {}.", words.join(", ")),
            None => description.to_owned(),
        })
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'static Value, path: &str) {
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| items.len() as u64 > *most) {
            self.report(node.place, path, format!("has {} entries; at most {most} are allowed", items.len()), None);
        }
        for (i, item) in items.iter().enumerate() {
            self.node(item, &schema["items"], &format!("{path}[{i}]"), item.place);
        }
    }

    /// One of several shapes, told apart by the key that only one of them has.
    fn choice(&mut self, node: &Node, choices: &[&'static Value], path: &str, above: Place) {
        let choices: Vec<_> = choices.iter().map(|choice| resolve(self.root, choice).0).collect();
        let signs: Vec<&str> = choices.iter().filter_map(|choice| choice["required"][0].as_str()).collect();
        let expected = signs.iter().map(|sign| format!("`{sign}:`")).collect::<Vec<_>>().join(" or ");
        let Kind::Map(entries) = &node.kind else {
            let help = match &node.kind {
                Kind::Scalar(Value::String(word)) => signs.iter().zip(&choices).find_map(|(sign, choice)| {
                    let words = words(resolve(self.root, &choice["properties"][*sign]).0)?;
                    words.contains(&word.as_str()).then(|| format!("write `{sign}: {word}`"))
                }),
                _ => None,
            };
            return self.report(node.place, path, format!("expected {expected}, found {}", kind_of(node)), help);
        };
        let present: Vec<_> = signs.iter().zip(&choices).filter(|(sign, _)| has(entries, sign)).collect();
        match present[..] {
            [(_, choice)] => self.map(entries, choice, path, above),
            [] => {
                self.report(node.place, path, format!("has neither {}", expected.replace(" or ", " nor ")), None);
                for entry in entries {
                    let near = closest(&entry.key, signs.iter().copied());
                    let help = self.where_it_belongs(&entry.key, near, signs.clone());
                    self.report(entry.key_place, &join(path, &entry.key), "unknown key", help);
                }
            }
            _ => {
                let help = "write one entry for each".to_owned();
                self.report(node.place, path, format!("has both {}", expected.replace(" or ", " and ")), help);
            }
        }
    }

    fn word(&mut self, node: &Node, words: &[&str], path: &str) {
        let all = words.join(", ");
        match &node.kind {
            Kind::Scalar(Value::String(word)) if words.contains(&word.as_str()) => {}
            Kind::Scalar(Value::String(word)) => {
                let near = closest(word, words.iter().copied());
                let help = near.map(|near| format!("did you mean {near:?}?"));
                self.report(node.place, path, format!("{:?} is none of {all}", clipped(word)), help);
            }
            _ => self.report(node.place, path, format!("expected one of {all}; found {}", kind_of(node)), None),
        }
    }

    fn text(&mut self, place: Place, text: &str, name: &str, schema: &Value, path: &str) {
        let fault = match name {
            "Duration" => text.parse::<HumanDuration>().err().map(|error| error.to_string()),
            "AgentId" => text.parse::<AgentId>().err().map(|error| error.to_string()),
            "TopicPattern" => text.parse::<TopicPattern>().err().map(|error| format!("{text:?} {error}")),
            _ => None,
        };
        if let Some(fault) = fault {
            return self.report(place, path, fault, None);
        }
        let length = text.chars().count() as u64;
        if schema["minLength"].as_u64().is_some_and(|least| length < least) {
            self.report(place, path, "is empty", None);
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.report(place, path, format!("is {length} characters long; at most {most} are allowed"), None);
        }
    }

    fn number(&mut self, node: &Node, schema: &Value, path: &str) {
        let Kind::Scalar(Value::Number(number)) = &node.kind else { return };
        let value = number.as_f64().unwrap_or(f64::NAN);
        if schema["type"] == "integer" && number.as_u64().is_none() && number.as_i64().is_none() {
            return self.report(node.place, path, format!("expected a whole number, found {number}"), None);
        }
        let widest = if schema["format"] == "uint32" { f64::from(u32::MAX) } else { f64::INFINITY };
        let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64().unwrap_or(widest));
        if let Some(least) = least.filter(|least| value < *least) {
            self.report(node.place, path, format!("is {number}; the least is {least}"), None);
        } else if value > most {
            self.report(node.place, path, format!("is {number}; the most is {most}"), None);
        }
    }

    fn wrong_kind(&mut self, node: &Node, wanted: &str, name: &str, path: &str, above: Place) {
        let (expected, help) = match (wanted, name, &node.kind) {
            ("string", "Duration", _) => {
                ("a duration", Some("write a whole number and a unit: 500ms, 30s, 10m, 2h, 1d".to_owned()))
            }
            ("string", _, Kind::Scalar(Value::Number(value))) => {
                ("text", Some(format!("put it in quotes: \"{value}\"")))
            }
            ("string", _, Kind::Scalar(Value::Bool(value))) => ("text", Some(format!("put it in quotes: \"{value}\""))),
            ("string", _, Kind::Scalar(Value::Null)) => {
                ("text", Some("write it in quotes if it begins with `#`, which else begins a comment".to_owned()))
            }
            ("string", ..) => ("text", None),
            ("integer", ..) => ("a whole number", None),
            ("number", ..) => ("a number", None),
            ("boolean", ..) => ("true or false", None),
            ("array", _, Kind::Scalar(Value::Null)) => {
                ("a list", Some("write entries below, or remove the key".to_owned()))
            }
            ("array", ..) => ("a list", Some("write each entry on a line of its own, after `- `".to_owned())),
            (_, _, Kind::Scalar(Value::Null)) => {
                ("keys below it", Some("indent them by two blanks, or remove the key".to_owned()))
            }
            _ => ("a mapping (`key: value`)", None),
        };
        // Nothing has no place of its own worth pointing at.
        let place = if node.is_null() { above } else { node.place };
        self.report(place, path, format!("expected {expected}, found {}", kind_of(node)), help);
    }
}

fn kind_of(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(Value::Null) => "nothing".to_owned(),
        Kind::Scalar(Value::Bool(value)) => value.to_string(),
        Kind::Scalar(Value::Number(value)) => format!("the number {value}"),
        // Not which text: it might be a secret in the wrong place.
        Kind::Scalar(_) => "text".to_owned(),
        Kind::List(_) => "a list".to_owned(),
        Kind::Map(_) => "a mapping".to_owned(),
    }
}

fn has(entries: &[Entry], key: &str) -> bool {
    entries.iter().any(|entry| entry.key == key)
}

/// Follows `$ref`; gives the definition's name too.
fn resolve(root: &'static Value, schema: &'static Value) -> (&'static Value, &'static str) {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => (&root["$defs"][name], name),
        None => (schema, ""),
    }
}

/// The words that an enumeration allows.
fn words(schema: &'static Value) -> Option<Vec<&'static str>> {
    let choices = schema["oneOf"].as_array()?;
    Some(choices.iter().filter_map(|choice| choice["const"].as_str()).collect())
}

/// The types that a schema allows, `null` last.
fn types(schema: &'static Value) -> Vec<&'static str> {
    match &schema["type"] {
        Value::String(only) => vec![only],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Every path of the schema that ends in `key`.
fn homes(root: &'static Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(root, root, "", 0, &mut |path, name| {
        if name == key {
            found.push(path.to_owned());
        }
    });
    found
}

fn walk(root: &'static Value, schema: &'static Value, path: &str, depth: usize, visit: &mut impl FnMut(&str, &str)) {
    // The schema has no cycle today; this keeps a later one from being followed for ever.
    if depth > 8 {
        return;
    }
    let (schema, _) = resolve(root, schema);
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        walk(root, choice, path, depth + 1, visit);
    }
    if schema["items"].is_object() {
        walk(root, &schema["items"], &format!("{path}[]"), depth + 1, visit);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = join(path, name);
        visit(&path, name);
        walk(root, property, &path, depth + 1, visit);
    }
}

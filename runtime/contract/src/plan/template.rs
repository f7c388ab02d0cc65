//! Texts with `$name` in them.

use serde_json::Value;

use super::{Reference, Values};

/// Every reference in a text, in order.
pub fn references(text: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        match Reference::at_start(&rest[at..]) {
            Some((reference, after)) => {
                found.push(reference);
                rest = after;
            }
            None => rest = &rest[at + 1..],
        }
    }
    found
}

/// Puts values in the place of their names, in one pass: what values themselves contain is left alone. `$$` stands for a
/// dollar, and what leads to nothing is left out.
pub fn fill(template: &str, values: &Values) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            filled.push('$');
            rest = after;
        } else if let Some((reference, after)) = Reference::at_start(rest) {
            filled.push_str(&reference.look(values).map(|value| as_text(&value)).unwrap_or_default());
            rest = after;
        } else {
            filled.push('$');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// A value as a text says it: texts as they stand, anything else as JSON.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_filled_in_one_pass() {
        let values = Values::from([
            ("a".parse().unwrap(), json!("costs $b")),
            ("b".parse().unwrap(), json!({ "list": [1, 2] })),
        ]);
        assert_eq!(fill("$a: $b.list. $$5, $ and $gone!", &values), "costs $b: [1,2]. $5, $ and !");
        let names: Vec<_> = references("$a, $b.list[0] and $a").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["$a", "$b.list[0]", "$a"]);
    }
}

//! Schemas and numbers as these servers take them.

use serde_json::{Value, json};

/// A tool's parameters. OpenAI refuses a schema that is no object, and an object without `properties`.
pub(super) fn parameters(schema: &Value) -> Value {
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    schema.entry("properties").or_insert_with(|| json!({}));
    Value::Object(schema)
}

/// Whether a schema may be called strict: every object in it is closed and requires all that it names. Others are
/// refused under that word, so they are sent without it.
pub(super) fn is_strict(schema: &Value) -> bool {
    let Value::Object(schema) = schema else { return !schema.is_array() || all(schema) };
    let is_object = schema.get("type").is_some_and(|kind| kind == "object") || schema.contains_key("properties");
    if is_object {
        let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut named =
            schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|object| object.keys());
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        if !closed || !named.all(|name| required.iter().any(|known| known == name)) {
            return false;
        }
    }
    schema.iter().all(|(name, inner)| match (name.as_str(), inner) {
        // What stands here is data or names, not schemas.
        ("required" | "enum" | "const" | "default" | "examples", _) => true,
        ("properties" | "$defs" | "definitions", Value::Object(named)) => named.values().all(is_strict),
        _ => is_strict(inner),
    })
}

fn all(schemas: &Value) -> bool {
    schemas.as_array().is_none_or(|schemas| schemas.iter().all(is_strict))
}

/// A number through its decimal form, so that 0.7 is not sent as 0.699999988079071.
pub(super) fn decimal(number: f32) -> Value {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_closed_and_complete_schemas_are_strict() {
        let closed = |inner: Value| json!({ "type": "object", "properties": { "a": inner }, "required": ["a"], "additionalProperties": false });
        assert!(is_strict(&closed(json!({ "type": "string", "enum": ["x"] }))));
        assert!(is_strict(&closed(closed(json!({ "type": "array", "items": closed(json!({ "type": "null" })) })))));
        assert!(!is_strict(&closed(json!({ "type": "object", "properties": {} }))));
        assert!(!is_strict(&closed(json!({ "anyOf": [{ "type": "object" }, { "type": "null" }] }))));
        assert!(!is_strict(&json!({ "type": "object", "properties": { "a": {} }, "additionalProperties": false })));
    }

    #[test]
    fn a_number_is_what_was_written() {
        assert_eq!(decimal(0.7), json!(0.7));
        assert_eq!(decimal(1.0), json!(1.0));
    }
}

//! What an expression comes to. Total: whatever the values are, the answer is yes or no.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;

use super::{Comparison, Expression, Operand, Values};

/// Whether an expression holds of what is known.
pub fn holds(expression: &Expression, values: &Values) -> bool {
    match expression {
        Expression::And(left, right) => holds(left, values) && holds(right, values),
        Expression::Or(left, right) => holds(left, values) || holds(right, values),
        Expression::Not(inner) => !holds(inner, values),
        Expression::Exists(reference) => reference.look(values).is_some_and(|value| !value.is_null()),
        Expression::Truth(operand) => is_true(&value(operand, values)),
        Expression::Compare(left, comparison, right) => {
            compare(&value(left, values), *comparison, &value(right, values))
        }
    }
}

fn value<'a>(operand: &'a Operand, values: &'a Values) -> Cow<'a, Value> {
    match operand {
        Operand::Value(value) => Cow::Borrowed(value),
        Operand::Reference(reference) => reference.look(values).unwrap_or(Cow::Owned(Value::Null)),
    }
}

/// A model that is asked for yes or no says it in words.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !["", "no", "false", "0", "null"].contains(&text.trim().to_lowercase().as_str()),
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    match comparison {
        Comparison::Equal => equal(left, right),
        Comparison::Different => !equal(left, right),
        Comparison::Less => order(left, right).is_some_and(Ordering::is_lt),
        Comparison::AtMost => order(left, right).is_some_and(Ordering::is_le),
        Comparison::Greater => order(left, right).is_some_and(Ordering::is_gt),
        Comparison::AtLeast => order(left, right).is_some_and(Ordering::is_ge),
        Comparison::Contains => contains(left, right),
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Bool(yes), Value::String(_)) => is_true(right) == *yes,
        (Value::String(_), Value::Bool(yes)) => is_true(left) == *yes,
        _ => order(left, right).map_or_else(|| left == right, Ordering::is_eq),
    }
}

/// Numbers by size, texts by their letters; anything else is in no order.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(plain(left).cmp(&plain(right))),
        _ => number(left)?.partial_cmp(&number(right)?),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match whole {
        Value::String(whole) => match part {
            Value::String(part) => plain(whole).contains(&plain(part)),
            Value::Null => false,
            other => whole.contains(&other.to_string()),
        },
        Value::Array(list) => list.iter().any(|element| equal(element, part)),
        Value::Object(fields) => part.as_str().is_some_and(|field| fields.contains_key(field)),
        _ => false,
    }
}

fn plain(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plan::{Condition, parse};

    fn values() -> Values {
        let known = json!({
            "verdict": " Approve\n", "score": 7, "said": "42", "list": [1, "Two"], "empty": "", "yes": true,
            "report": { "title": "Actors", "parts": [] }, "nothing": null,
        });
        known.as_object().unwrap().iter().map(|(name, value)| (name.parse().unwrap(), value.clone())).collect()
    }

    #[test]
    fn expressions_come_to_what_they_say() {
        for (text, expected) in [
            ("$verdict == \"approve\"", true),
            ("$verdict != 'approve'", false),
            ("$score > 6.5 and $score <= 7", true),
            ("$said == 42 && $said < 100", true),
            ("$list contains 'two' or false", true),
            ("$report contains \"title\"", true),
            ("$report.title contains \"act\"", true),
            ("not exists($report.author)", true),
            ("exists $nothing", false),
            ("exists($verdict) and !$empty", true),
            ("$yes", true),
            ("$yes == \"yes\"", true),
            ("$report.parts", false),
            ("$gone > 1 or $gone <= 1", false),
            ("$gone == null", true),
            ("($score < 1 or $score > 5) and not ($yes and $empty)", true),
            ("$list[0] == 1", true),
            ("$score > -1", true),
        ] {
            let expression = parse::expression(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(holds(&expression, &values()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        for (text, at) in [
            ("$a == ", ""),
            ("$a = 3", "= 3"),
            ("($a > 1", ""),
            ("$a > 1 maybe", "maybe"),
            ("$a == \"open", "\"open"),
            ("exists(3)", ")"),
        ] {
            let fault = parse::expression(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}: {fault}");
        }
        assert!(matches!(Condition::of("if $weather is above 10"), Condition::Prose(_)));
        assert!(matches!(Condition::of("$weather > 10"), Condition::Expression(_)));
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_is_too_much(text in "[$a-c()!=<>&|\"' 0-9.\\-]{0,60}", number in any::<f64>()) {
            let values = Values::from([("a".parse().unwrap(), json!(number)), ("b".parse().unwrap(), json!(text))]);
            if let Ok(expression) = parse::expression(&text) {
                let not = Expression::Not(Box::new(expression.clone()));
                prop_assert_ne!(holds(&expression, &values), holds(&not, &values));
            }
        }
    }
}

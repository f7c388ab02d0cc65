//! What a scalar means: YAML 1.2's core schema, in which `yes` and `on` are text.

use saphyr_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// What a scalar is, by the core schema of YAML 1.2; `None` for a tag that has no meaning here.
pub(super) fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Some(text.into()),
        Some(tag) if !tag.is_yaml_core_schema() => return None,
        _ => {}
    }
    if style != ScalarStyle::Plain && tag.is_none() {
        return Some(text.into());
    }
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+')).map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().filter(|_| !octal.starts_with('+')).map(Number::from);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(whole) = unsigned.parse::<u64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = unsigned.parse::<i64>() {
        return Some(whole.into());
    }
    unsigned.parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_words_mean_what_the_core_schema_says() {
        let plain = |text| scalar(text, ScalarStyle::Plain, None).unwrap();
        for text in ["", "~", "null"] {
            assert_eq!(plain(text), Value::Null);
        }
        assert_eq!((plain("true"), plain("False")), (json!(true), json!(false)));
        assert_eq!((plain("12"), plain("-3"), plain("+7"), plain("010")), (json!(12), json!(-3), json!(7), json!(10)));
        assert_eq!(
            (plain("0x1F"), plain("0o17"), plain("1.5"), plain("1e3")),
            (json!(31), json!(15), json!(1.5), json!(1000.0))
        );
        for text in
            ["yes", "no", "on", "30s", "1.2.3", "0x", "0x+1", "-", ".", "1_000", ".inf", ".nan", "nan", "2026-11-23"]
        {
            assert_eq!(plain(text), json!(text), "{text:?} is text");
        }
    }

    #[test]
    fn quotes_and_tags_make_text() {
        assert_eq!(scalar("12", ScalarStyle::DoubleQuoted, None), Some(json!("12")));
        let tag = |handle: &str, suffix: &str| Tag { handle: handle.into(), suffix: suffix.into() };
        assert_eq!(scalar("12", ScalarStyle::Plain, Some(&tag("tag:yaml.org,2002:", "str"))), Some(json!("12")));
        assert_eq!(scalar("12", ScalarStyle::Plain, Some(&tag("!", "vault"))), None);
    }
}

//! What must not leave by the API: reply addresses, which are capabilities.

use greenroom_contract::execution::DeadLetter;
use serde_json::{Value, json};

/// A dead letter without the address that its event would have been answered at.
pub(super) fn redact(mut letter: DeadLetter) -> DeadLetter {
    if let Some(Value::Object(event)) = &mut letter.event
        && let Some(reply) = event.get_mut("reply_to")
    {
        *reply = json!({ "kind": reply.get("kind") });
    }
    // Bytes that are no event cannot be read by field, so that addresses are taken out by their form.
    letter.raw = letter.raw.map(|raw| without_urls(&raw));
    letter
}

fn without_urls(raw: &str) -> String {
    let mut clean = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find("https:").or_else(|| rest.find("http:")) {
        let (before, url) = rest.split_at(at);
        let end = url.find(|c: char| c == '"' || c == '\'' || c == '<' || c == '>' || c.is_whitespace());
        clean.push_str(before);
        clean.push_str("[address]");
        rest = &url[end.unwrap_or(url.len())..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_out_of_bytes_that_are_no_event() {
        let raw = r#"{"reply_to":{"response_url":"https:\/\/hooks.slack.com\/x"},"b":"https://a/b","c":1"#;
        assert_eq!(without_urls(raw), r#"{"reply_to":{"response_url":"[address]"},"b":"[address]","c":1"#);
        assert_eq!(without_urls("http://a"), "[address]");
        assert_eq!(without_urls("plain"), "plain");
    }
}

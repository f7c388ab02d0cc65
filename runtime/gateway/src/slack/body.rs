//! The forms that a Slack request has: JSON, or a form with fields. Told apart by the media type, never by a substring.

use std::collections::BTreeMap;

use serde_json::Value;

/// A signed request that cannot be understood. Slack is told not to send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// A request's content.
pub(crate) enum Body {
    Json(Value),
    Form(BTreeMap<String, String>),
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a body by its media type (lower case, without parameters).
pub(crate) fn parse(media: Option<&str>, raw: &[u8]) -> Result<Body, Malformed> {
    match media {
        Some(FORM) => Ok(Body::Form(form(raw))),
        Some("application/json") => {
            let value: Value = serde_json::from_slice(raw).map_err(|_| Malformed("the body is not JSON"))?;
            if value.is_object() { Ok(Body::Json(value)) } else { Err(Malformed("the body is not a JSON object")) }
        }
        _ => Err(Malformed("the content type is neither application/json nor application/x-www-form-urlencoded")),
    }
}

/// Whether this is Slack's check of the certificate, the one request that it does not sign: a form of exactly
/// `ssl_check=1` and perhaps `token`. Anything more is not, so that nothing can ride along.
pub(crate) fn is_ssl_check(media: Option<&str>, raw: &[u8]) -> bool {
    if media != Some(FORM) || raw.len() > 512 {
        return false;
    }
    let pairs: Vec<(String, String)> = form_urlencoded::parse(raw).into_owned().collect();
    let named = |name: &str| pairs.iter().filter(|(found, _)| found == name).count();
    named("ssl_check") == 1
        && named("token") <= 1
        && pairs.len() == named("ssl_check") + named("token")
        && pairs.iter().all(|(name, value)| name != "ssl_check" || value == "1")
}

/// The fields; the first of two with the same name counts.
fn form(raw: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(raw) {
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_check_of_the_certificate_is_one() {
        let form = Some(FORM);
        assert!(is_ssl_check(form, b"ssl_check=1"));
        assert!(is_ssl_check(form, b"ssl_check=1&token=abc"));
        assert!(is_ssl_check(form, b"token=abc&ssl_check=1"));
        for bad in [
            "ssl_check=0",
            "ssl_check=",
            "ssl_check=10",
            "ssl_check=1&ssl_check=1",
            "ssl_check=1&command=%2Fsupport",
            "ssl_check=1&payload=%7B%7D",
            "ssl_check=1&token=a&token=b",
            "token=a",
            "",
        ] {
            assert!(!is_ssl_check(form, bad.as_bytes()), "{bad:?} was taken");
        }
        assert!(!is_ssl_check(Some("application/json"), b"ssl_check=1"));
        assert!(!is_ssl_check(None, b"ssl_check=1"));
    }

    #[test]
    fn bodies_are_read_by_their_media_type() {
        assert!(matches!(parse(Some("application/json"), b"{}"), Ok(Body::Json(_))));
        let Ok(Body::Form(fields)) = parse(Some(FORM), "text=a+b%26c%C3%BC&text=second&empty=".as_bytes()) else {
            panic!("not a form")
        };
        assert_eq!(fields["text"], "a b&c\u{fc}");
        assert_eq!(fields["empty"], "");
        for bad in ["", "[]", "1", "null", "{", "\u{feff}{}"] {
            assert!(parse(Some("application/json"), bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
        assert!(parse(Some("text/plain"), b"{}").is_err());
        assert!(parse(None, b"{}").is_err());
    }
}

//! Where a server is, who we are to it, and which dialect it speaks.

use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::{Unusable, llm::http};

/// OpenAI's own address.
const OPENAI: &str = "https://api.openai.com/v1";

/// Who is spoken to: OpenAI itself, or a server that speaks like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// OpenAI: `max_completion_tokens`, and per model what the capability table says.
    OpenAi,
    /// Anyone else: `max_tokens`, and everything as the operator wrote it.
    Compatible,
}

impl Dialect {
    /// The name under which the provider is registered, and its prices are found.
    pub(crate) fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Compatible => "openai-compatible",
        }
    }

    /// Which dialect the server at `base` speaks.
    pub(crate) fn of(base: &Url) -> Self {
        let host = base.host_str().unwrap_or_default();
        if host == "api.openai.com" || host.ends_with(".api.openai.com") { Self::OpenAi } else { Self::Compatible }
    }
}

/// A server, a model, and our key. Has no `Debug`, because of the key.
pub(crate) struct Options {
    /// The address under which `/chat/completions` lies.
    pub(crate) base: Url,
    /// `Bearer …`, marked sensitive; a local server needs none.
    pub(crate) authorization: Option<HeaderValue>,
    /// The name of the variable that holds the key, for messages.
    pub(crate) key_name: String,
    /// The provider's name of the model.
    pub(crate) model: String,
    /// How it is spoken to.
    pub(crate) dialect: Dialect,
}

impl Options {
    /// The address of one of its endpoints.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The address without credentials, for messages.
    pub(crate) fn shown(&self) -> String {
        http::shown(&self.base)
    }
}

/// Reads a base URL, or OpenAI's own where there is none.
pub(crate) fn parse_base_url(text: Option<&str>) -> Result<Url, Unusable> {
    let remedy = "write it like http://localhost:8000/v1";
    // The text itself may hold a password, so it is not repeated.
    let url: Url = text
        .unwrap_or(OPENAI)
        .trim()
        .parse()
        .map_err(|error| Unusable::new(format!("the model server's base URL is malformed ({error})"), remedy))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(Unusable::new("the model server's base URL is neither http:// nor https://", remedy)),
    }
}

/// The header that carries a key. Fails for a key that no header can carry, without telling the key.
pub(crate) fn bearer(name: &str, key: &SecretString) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret().trim())).map_err(|_| {
        Unusable::new(format!("{name} holds characters that no header can carry"), "set it to the key alone")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_decides_the_dialect() {
        let dialect = |text| Dialect::of(&parse_base_url(text).unwrap());
        assert_eq!(dialect(None), Dialect::OpenAi);
        assert_eq!(dialect(Some("https://eu.api.openai.com/v1/")), Dialect::OpenAi);
        assert_eq!(dialect(Some("http://localhost:8000/v1")), Dialect::Compatible);
        assert_eq!(dialect(Some("https://api.openai.com.evil.test/v1")), Dialect::Compatible);
    }

    #[test]
    fn a_bad_address_is_refused_and_not_repeated() {
        for bad in ["", "localhost:8000/v1", "ftp://x/v1", "http://", "/v1", "http://me:hush@:1"] {
            let error = parse_base_url(Some(bad)).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let header = bearer("OPENAI_API_KEY", &SecretString::from("sk-canary")).unwrap();
        assert!(!format!("{header:?}").contains("canary"));
        let error = bearer("OPENAI_API_KEY", &SecretString::from("sk-can\u{7}ary")).unwrap_err();
        assert!(error.to_string().contains("OPENAI_API_KEY") && !error.to_string().contains("can\u{7}"));
    }
}

//! Where the API is, who we are to it, and how it is to be used.

use greenroom_config::spec::{AnthropicVersion, PromptCache};
use reqwest::{
    Url,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{Unusable, llm::openai, pricing::Capabilities};

/// Anthropic's own address.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// A server, a model, and our key. Has no `Debug`, because of the key.
pub(super) struct Options {
    /// The address under which `/v1/messages` lies.
    pub(super) base: Url,
    /// The header that carries the key, marked sensitive; a gateway may need none.
    pub(super) credentials: Option<(HeaderName, HeaderValue)>,
    /// The name of the variable that holds the key, for messages.
    pub(super) key_name: String,
    /// Anthropic's name of the model.
    pub(super) model: String,
    /// The version of the API.
    pub(super) version: AnthropicVersion,
    /// What is to be tried out besides (`anthropic-beta`).
    pub(super) betas: Vec<String>,
    /// How long the beginning of the conversation is remembered.
    pub(super) cache: PromptCache,
    /// What the model takes.
    pub(super) capabilities: Capabilities,
}

impl Options {
    /// The address of one of the endpoints.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The key as it was sent, to take it out of messages.
    pub(super) fn sent_key(&self) -> Option<&str> {
        let (_, value) = self.credentials.as_ref()?;
        let text = value.to_str().ok()?;
        Some(text.strip_prefix("Bearer ").unwrap_or(text))
    }
}

/// Reads a base URL, or Anthropic's own where there is none. One that ends in `/v1`, as OpenAI's do, means the same
/// without it.
pub(super) fn parse_base_url(text: Option<&str>) -> Result<Url, Unusable> {
    let mut url = openai::parse_base_url(Some(text.unwrap_or(ANTHROPIC)))?;
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// The header that carries a key in a version of the API. Fails for a key that no header can carry, without telling it.
pub(super) fn credentials(
    version: AnthropicVersion,
    name: &str,
    key: &SecretString,
) -> Result<(HeaderName, HeaderValue), Unusable> {
    let key = key.expose_secret().trim();
    let (header, text) = match version {
        AnthropicVersion::V20261021 => (AUTHORIZATION, format!("Bearer {key}")),
        AnthropicVersion::V20230601 => (HeaderName::from_static("x-api-key"), key.to_owned()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Unusable::new(format!("{name} holds characters that no header can carry"), "set it to the key alone")
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_in_v1_or_not() {
        for text in
            ["http://gateway.test/anthropic", "http://gateway.test/anthropic/v1", "http://gateway.test/anthropic/v1/"]
        {
            assert_eq!(parse_base_url(Some(text)).unwrap().as_str(), "http://gateway.test/anthropic");
        }
        assert_eq!(parse_base_url(None).unwrap().as_str(), "https://api.anthropic.com/");
        assert!(!parse_base_url(Some("http://me:hush@:1")).unwrap_err().to_string().contains("hush"));
    }

    #[test]
    fn a_key_goes_into_its_versions_header_and_is_never_shown() {
        let key = SecretString::from("sk-ant-canary\n");
        let (name, value) = credentials(AnthropicVersion::V20261021, "K", &key).unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer sk-ant-canary"));
        let (name, value) = credentials(AnthropicVersion::V20230601, "K", &key).unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-api-key", "sk-ant-canary"));
        assert!(!format!("{value:?}").contains("canary"));
        let error = credentials(AnthropicVersion::V20230601, "K", &SecretString::from("can\u{7}ary")).unwrap_err();
        assert!(!error.to_string().contains("ary"), "{error}");
    }
}

//! Where a server is, who we are to it, which dialect it speaks, and what its model takes.

use std::sync::Arc;

use greenroom_contract::port::llm::{Effort, Request};
use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use sha2::{Digest, Sha256};

use crate::{
    Unusable,
    llm::{http, limits::Account},
    pricing::{Capabilities, Sampling, Thinking},
};

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

/// By which of the two APIs a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// The Responses API.
    Responses,
    /// Chat completions.
    Chat,
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
    /// By which of its APIs.
    pub(crate) api: Api,
    /// What the model takes.
    pub(crate) capabilities: Capabilities,
    /// The key's limits, which the server tells of with each answer.
    pub(crate) account: Arc<Account>,
}

impl Options {
    /// The address of one of its endpoints.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Whether the model thinks before it answers. Of a model of OpenAI's that the data does not know it is assumed,
    /// unless it is of a family from before they did.
    pub(super) fn reasons(&self) -> bool {
        if self.dialect != Dialect::OpenAi {
            return false;
        }
        let is_known = self.capabilities.max_output.is_some();
        match self.capabilities.thinking {
            Thinking::Never => false,
            Thinking::Always => true,
            Thinking::Choice if is_known => true,
            Thinking::Choice => !["gpt-3", "gpt-4", "chatgpt-4"].iter().any(|family| self.model.starts_with(family)),
        }
    }

    /// The word for how hard the model is to think, if it is to be told.
    pub(super) fn effort(&self, request: &Request) -> Option<&'static str> {
        let effort = request.effort?;
        let takes = match self.dialect {
            Dialect::OpenAi => self.reasons(),
            // Everything as the operator wrote it.
            Dialect::Compatible => true,
        };
        // Who takes no sampling in any case cannot stop thinking.
        let always = self.capabilities.sampling == Sampling::Refused || self.capabilities.thinking == Thinking::Always;
        (takes && !(always && effort == Effort::None)).then(|| effort.as_str())
    }

    /// A key by which calls with the same beginning find the same cache: the same for all calls of an agent.
    pub(super) fn cache_key(&self, request: &Request) -> String {
        let mut digest = Sha256::new().chain_update(request.system.as_deref().unwrap_or_default());
        for tool in &request.tools {
            digest.update([0]);
            digest.update(&tool.name);
        }
        format!("greenroom-{}", hex::encode(&digest.finalize()[..16]))
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

//! OpenAI, and whatever speaks like it.

use std::sync::Arc;

use greenroom_config::spec::{Api as Wish, LlmConfig, Provider};
use greenroom_contract::port::llm::Llm;
use reqwest::Url;

use super::{
    Providers,
    providers::{model, no_key},
};
use crate::{
    Unusable,
    llm::{
        http,
        limits::Whose,
        openai::{Api, Dialect, OpenAi, Options, bearer, listed_models, parse_base_url},
    },
    pricing::Capabilities,
};

/// The model of `provider: auto` with an OpenAI key: the cheapest current one (0.10 in and 0.50 out per million tokens;
/// `pricing/prices.json` has the source and the date).
const DEFAULT_OPENAI_MODEL: &str = "gpt-6-luna";

pub(super) const OPENAI_KEY: &str = "OPENAI_API_KEY";
pub(super) const OPENAI_URL: &str = "OPENAI_BASE_URL";

impl Providers {
    /// For `auto`: if there is a key or an address.
    pub(super) async fn auto_openai(&self, config: &LlmConfig) -> Result<Option<Arc<dyn Llm>>, Unusable> {
        let base_url = self.base_url(config)?;
        if base_url.is_none() && self.key(key_name(config))?.is_none() {
            return Ok(None);
        }
        let base = parse_base_url(base_url.as_deref())?;
        let dialect = Dialect::of(&base);
        let mut options = self.options(config, base, dialect, config.model.clone().unwrap_or_default())?;
        if options.model.is_empty() {
            options.model = self.default_model(&options).await;
            options.capabilities =
                Capabilities::of(dialect.provider(), &options.model).with(Some(&config.capabilities));
        }
        Ok(Some(self.speaking(options)))
    }

    pub(super) fn openai(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let base_url = self.base_url(config)?;
        if base_url.is_none() && self.key(key_name(config))?.is_none() {
            return Err(no_key(key_name(config)));
        }
        let base = parse_base_url(base_url.as_deref())?;
        let dialect = match config.api {
            // Whoever says that it speaks OpenAI's own API means OpenAI, if only by way of a proxy.
            Wish::Responses => Dialect::OpenAi,
            Wish::Auto | Wish::Chat => Dialect::of(&base),
        };
        Ok(self.speaking(self.options(config, base, dialect, model(config)?)?))
    }

    pub(super) fn compatible(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let Some(base_url) = self.base_url(config)? else {
            return Err(Unusable::new(
                "openai-compatible needs a server's address",
                format!("write llm_config.base_url or set {OPENAI_URL}"),
            ));
        };
        let base = parse_base_url(Some(&base_url))?;
        Ok(self.speaking(self.options(config, base, Dialect::Compatible, model(config)?)?))
    }

    fn base_url(&self, config: &LlmConfig) -> Result<Option<String>, Unusable> {
        match &config.base_url {
            Some(url) => Ok(Some(url.clone())),
            None => self.text(OPENAI_URL),
        }
    }

    fn speaking(&self, options: Options) -> Arc<dyn Llm> {
        let key_name = options.authorization.as_ref().map(|_| options.key_name.clone()).unwrap_or_default();
        let provider = options.dialect.provider().to_owned();
        let whose = Whose { provider, server: http::place(&options.base), key_name };
        let model = options.model.clone();
        self.guarded(&whose, &model, |account| Arc::new(OpenAi::new(self.http.clone(), Options { account, ..options })))
    }

    /// A server that is not OpenAI has other models: the default if it has that too, else its first.
    async fn default_model(&self, options: &Options) -> String {
        if options.dialect == Dialect::OpenAi {
            return DEFAULT_OPENAI_MODEL.to_owned();
        }
        let listed = match listed_models(&self.http, options).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(
                    error,
                    server = options.shown(),
                    llm.model = DEFAULT_OPENAI_MODEL,
                    "The model server lists no models and llm_config.model names none; the default is asked for."
                );
                Vec::new()
            }
        };
        let has_default = listed.iter().any(|name| name == DEFAULT_OPENAI_MODEL);
        match listed.into_iter().next() {
            Some(first) if !has_default => first,
            _ => DEFAULT_OPENAI_MODEL.to_owned(),
        }
    }

    fn options(&self, config: &LlmConfig, base: Url, dialect: Dialect, model: String) -> Result<Options, Unusable> {
        let key_name = key_name(config).to_owned();
        let key = match dialect == Dialect::OpenAi || self.may_have_our_key(config)? {
            true => self.key(&key_name)?,
            false => None,
        };
        if key.is_none() && config.api_key_env.is_some() {
            return Err(no_key(&key_name));
        }
        let authorization = key.map(|key| bearer(&key_name, &key)).transpose()?;
        let api = match (config.api, dialect) {
            (Wish::Responses, _) | (Wish::Auto, Dialect::OpenAi) => Api::Responses,
            (Wish::Chat, _) | (Wish::Auto, Dialect::Compatible) => Api::Chat,
        };
        let capabilities = Capabilities::of(dialect.provider(), &model).with(Some(&config.capabilities));
        Ok(Options { base, authorization, key_name, model, dialect, api, capabilities, account: Arc::default() })
    }

    /// A key goes to the server that it was given for. `OPENAI_API_KEY` is for OpenAI and for `OPENAI_BASE_URL`; a
    /// server that only an agent's file names as compatible gets the key that the file names, or none.
    fn may_have_our_key(&self, config: &LlmConfig) -> Result<bool, Unusable> {
        let only_in_file = config.base_url.is_some() && config.base_url != self.text(OPENAI_URL)?;
        Ok(config.api_key_env.is_some() || !only_in_file || config.provider == Provider::Openai)
    }
}

fn key_name(config: &LlmConfig) -> &str {
    config.api_key_env.as_deref().unwrap_or(OPENAI_KEY)
}

//! From an agent's `llm_config` to a provider that can be asked, or the reason why there is none.

use std::sync::Arc;

use greenroom_config::{
    Environment,
    spec::{CapabilityWords, LlmConfig, Provider},
};
use greenroom_contract::port::llm::Llm;
use reqwest::Client;

use super::{
    anthropic, bedrock,
    fallback::Fallback,
    openai::{Dialect, OpenAi, Options, listed_models, parse_base_url},
    priced::Priced,
    retry::Retry,
    scripted::Scripted,
};
use crate::Unusable;

/// The model of `provider: auto` with an OpenAI key: the cheapest current one that takes tools on chat completions
/// (0.10 in and 0.50 out per million tokens; `pricing/prices.json` has the source and the date).
const DEFAULT_OPENAI_MODEL: &str = "gpt-6-luna";

const OPENAI_KEY: &str = "OPENAI_API_KEY";
const OPENAI_URL: &str = "OPENAI_BASE_URL";

/// Makes providers for agents. One per node: it holds the environment and the HTTP client that all calls share.
pub struct Providers {
    env: Environment,
    http: Client,
    bedrock: bedrock::Door,
}

impl Providers {
    /// A registry over this environment, whose providers call through this client (see [`crate::http_client`]).
    pub fn new(env: &Environment, http: Client) -> Self {
        Self { env: env.clone(), http, bedrock: bedrock::Door::default() }
    }

    /// The provider that `config` asks for, with its retries and its fallback chain.
    ///
    /// A member of the chain that cannot be used is left out with a warning. Fails when none can be used, with the
    /// first one's reason. It reaches out only for `auto` without a model on a server that is not OpenAI, to ask what
    /// it has.
    pub async fn build(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let mut members = Vec::new();
        let mut first_reason = None;
        let fallbacks = config.fallback.iter().map(|fallback| LlmConfig {
            provider: fallback.provider,
            model: fallback.model.clone(),
            // The address and the key's name were the first one's.
            base_url: None,
            api_key_env: None,
            // What is known of the first one's model is not true of another's.
            price: None,
            capabilities: CapabilityWords::default(),
            fallback: Vec::new(),
            ..config.clone()
        });
        for member in std::iter::once(config.clone()).chain(fallbacks) {
            match self.one(&member).await {
                Ok(llm) => members.push(llm),
                Err(unusable) => {
                    if !config.fallback.is_empty() {
                        tracing::warn!(
                            llm.provider = member.provider.as_str(),
                            reason = unusable.reason,
                            remedy = unusable.remedy,
                            "A model of the fallback chain cannot be used and is left out."
                        );
                    }
                    first_reason.get_or_insert(unusable);
                }
            }
        }
        let mut members = members.into_iter();
        match (members.next(), first_reason) {
            (Some(first), _) if members.len() == 0 => Ok(first),
            (Some(first), _) => Ok(Arc::new(Fallback::new(first, members.collect()))),
            (None, Some(unusable)) => Err(unusable),
            (None, None) => Err(Unusable::new("no model is configured", "write llm_config.provider")),
        }
    }

    async fn one(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let llm = match config.provider {
            Provider::Auto => self.auto(config).await,
            Provider::Scripted => Ok(Arc::new(Scripted::new(config.script.clone())) as Arc<dyn Llm>),
            Provider::Openai => self.openai(config),
            Provider::OpenaiCompatible => self.compatible(config),
            Provider::Anthropic => self.anthropic(config, model(config)?),
            Provider::Bedrock => self.bedrock(config, model(config)?).await,
            Provider::Ollama => Err(Unusable::new(
                format!("the provider {:?} is not built yet in this version", config.provider.as_str()),
                "use anthropic, bedrock, openai, openai-compatible or scripted (Ollama serves openai-compatible under /v1)",
            )),
        };
        Ok(Priced::over(llm?, config.price))
    }

    async fn bedrock(&self, config: &LlmConfig, model: String) -> Result<Arc<dyn Llm>, Unusable> {
        Ok(Arc::new(Retry::new(Arc::new(self.bedrock.open(&self.env, config, model).await?))))
    }

    fn anthropic(&self, config: &LlmConfig, model: String) -> Result<Arc<dyn Llm>, Unusable> {
        Ok(Arc::new(Retry::new(Arc::new(anthropic::open(&self.env, &self.http, config, model)?))))
    }

    /// The first usable of those that are built: Anthropic by its key, OpenAI or whatever speaks like it at
    /// `OPENAI_BASE_URL`, Bedrock by its credentials, else the stand-in.
    async fn auto(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        // A key that the file names is for the server that the file names, which is never Anthropic's here.
        if config.base_url.is_none()
            && config.api_key_env.is_none()
            && self.text(anthropic::key_name(config))?.is_some()
        {
            let model = config.model.clone().unwrap_or_else(|| anthropic::DEFAULT_MODEL.to_owned());
            return self.anthropic(config, model);
        }
        let base_url = match &config.base_url {
            Some(url) => Some(url.clone()),
            None => self.text(OPENAI_URL)?,
        };
        if base_url.is_none() && self.key(config)?.is_none() {
            if config.api_key_env.is_none() && bedrock::has_credentials(&self.env)? {
                let model = config.model.clone().unwrap_or_else(|| bedrock::DEFAULT_MODEL.to_owned());
                return self.bedrock(config, model).await;
            }
            tracing::info!(
                "None of ANTHROPIC_API_KEY, {OPENAI_KEY}, {OPENAI_URL} and AWS's credentials with a region is set: the \
                 scripted stand-in answers in place of a model."
            );
            return Ok(Arc::new(Scripted::new(config.script.clone())));
        }
        let base = parse_base_url(base_url.as_deref())?;
        let dialect = Dialect::of(&base);
        let mut options = self.options(config, base, dialect, config.model.clone().unwrap_or_default())?;
        if options.model.is_empty() {
            options.model = self.default_model(&options).await;
        }
        Ok(self.chat(options))
    }

    fn openai(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let base_url = match &config.base_url {
            Some(url) => Some(url.clone()),
            None => self.text(OPENAI_URL)?,
        };
        if base_url.is_none() && self.key(config)?.is_none() {
            return Err(self.no_key(config));
        }
        let base = parse_base_url(base_url.as_deref())?;
        let dialect = Dialect::of(&base);
        let options = self.options(config, base, dialect, model(config)?)?;
        Ok(self.chat(options))
    }

    fn compatible(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let Some(base_url) = (match &config.base_url {
            Some(url) => Some(url.clone()),
            None => self.text(OPENAI_URL)?,
        }) else {
            return Err(Unusable::new(
                "openai-compatible needs a server's address",
                format!("write llm_config.base_url or set {OPENAI_URL}"),
            ));
        };
        let base = parse_base_url(Some(&base_url))?;
        let options = self.options(config, base, Dialect::Compatible, model(config)?)?;
        Ok(self.chat(options))
    }

    fn chat(&self, options: Options) -> Arc<dyn Llm> {
        Arc::new(Retry::new(Arc::new(OpenAi::new(self.http.clone(), options))))
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

    fn options(
        &self,
        config: &LlmConfig,
        base: reqwest::Url,
        dialect: Dialect,
        model: String,
    ) -> Result<Options, Unusable> {
        let key_name = key_name(config).to_owned();
        let key = match dialect == Dialect::OpenAi || self.may_have_our_key(config)? {
            true => self.key(config)?,
            false => None,
        };
        if key.is_none() && config.api_key_env.is_some() {
            return Err(self.no_key(config));
        }
        let authorization = key.map(|key| super::openai::bearer(&key_name, &key)).transpose()?;
        Ok(Options { base, authorization, key_name, model, dialect })
    }

    /// A key goes to the server that it was given for. `OPENAI_API_KEY` is for OpenAI and for `OPENAI_BASE_URL`; a
    /// server that only an agent's file names as compatible gets the key that the file names, or none.
    fn may_have_our_key(&self, config: &LlmConfig) -> Result<bool, Unusable> {
        let only_in_file = config.base_url.is_some() && config.base_url != self.text(OPENAI_URL)?;
        Ok(config.api_key_env.is_some() || !only_in_file || config.provider == Provider::Openai)
    }

    fn key(&self, config: &LlmConfig) -> Result<Option<secrecy::SecretString>, Unusable> {
        self.env.secret(key_name(config)).map_err(unreadable)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Unusable> {
        self.env.text(name).map_err(unreadable)
    }

    fn no_key(&self, config: &LlmConfig) -> Unusable {
        let name = key_name(config);
        Unusable::new(
            format!("{name} is not set"),
            format!("set {name} (or {name}_FILE) in the environment or in .env"),
        )
    }
}

fn key_name(config: &LlmConfig) -> &str {
    config.api_key_env.as_deref().unwrap_or(OPENAI_KEY)
}

fn model(config: &LlmConfig) -> Result<String, Unusable> {
    config.model.clone().ok_or_else(|| {
        Unusable::new(format!("{:?} needs a model's name", config.provider.as_str()), "write llm_config.model")
    })
}

fn unreadable(error: greenroom_config::env::Error) -> Unusable {
    Unusable::new(error.to_string(), "make the file readable or unset the variable")
}

//! Ollama.

use std::{sync::Arc, time::Duration};

use greenroom_config::spec::LlmConfig;
use greenroom_contract::port::llm::Llm;
use reqwest::{Url, header::HeaderValue};
use tokio::{sync::Mutex, time::Instant};

use super::{
    Providers,
    providers::{model, no_key},
};
use crate::{
    Unusable,
    llm::{
        http,
        limits::Whose,
        ollama::{Ollama, Options, has, installed, is_cloud, parse_host},
        openai::bearer,
    },
    pricing::Capabilities,
};

const OLLAMA_HOST: &str = "OLLAMA_HOST";
const OLLAMA_KEY: &str = "OLLAMA_API_KEY";
/// For so long the last answer of Ollama holds: a folder of ten thousand agents asks once.
const REMEMBERED: Duration = Duration::from_secs(10);

/// What Ollama said when it was last asked what it has, and where that was.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<Said>>);

struct Said {
    at: Instant,
    base: Url,
    models: Result<Vec<String>, String>,
}

impl Providers {
    /// For `auto`: if it answers and has a model.
    pub(super) async fn auto_ollama(&self, config: &LlmConfig) -> Result<Option<Arc<dyn Llm>>, Unusable> {
        // The address in the file was meant for another provider if that was taken.
        let base = self.ollama_base(config)?;
        let key = self.ollama_key(config, &base)?;
        let there = self.ask_ollama(&base, key.as_ref()).await.unwrap_or_default();
        let wanted = match &config.model {
            Some(model) => has(&there, model).then(|| model.clone()),
            None => there.into_iter().find(|name| !name.contains("embed")),
        };
        Ok(wanted.map(|model| self.at_ollama(config, base, key, model)))
    }

    /// A server that answers and does not have the model is a mistake that is best heard of now. One that does not answer
    /// may be there later: then its calls say so.
    pub(super) async fn ollama(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let (base, model) = (self.ollama_base(config)?, model(config)?);
        let key = self.ollama_key(config, &base)?;
        if is_cloud(&base) {
            if key.is_none() {
                return Err(no_key(key_name(config)));
            }
            return Ok(self.at_ollama(config, base, key, model));
        }
        match self.ask_ollama(&base, key.as_ref()).await {
            Ok(there) if !has(&there, &model) => Err(Unusable::new(
                format!("Ollama at {} has no model {model:?}", http::shown(&base)),
                format!("run `ollama pull {model}` there, and restart the agent"),
            )),
            Ok(_) => Ok(self.at_ollama(config, base, key, model)),
            Err(reason) => {
                tracing::warn!(
                    reason,
                    server = http::shown(&base),
                    llm.model = model,
                    "Ollama does not answer; the agent starts all the same and asks it when there is something to ask."
                );
                Ok(self.at_ollama(config, base, key, model))
            }
        }
    }

    fn at_ollama(&self, config: &LlmConfig, base: Url, key: Option<HeaderValue>, model: String) -> Arc<dyn Llm> {
        let key_name = key_name(config).to_owned();
        let whose = Whose {
            provider: "ollama".to_owned(),
            server: http::place(&base),
            key_name: key.as_ref().map(|_| key_name.clone()).unwrap_or_default(),
        };
        self.guarded(&whose, &model.clone(), |account| {
            let capabilities = Capabilities::of("ollama", &model).with(Some(&config.capabilities));
            let options =
                Options { base, authorization: key, key_name, model, own: config.ollama, capabilities, account };
            Arc::new(Ollama::new(self.http.clone(), options))
        })
    }

    fn ollama_base(&self, config: &LlmConfig) -> Result<Url, Unusable> {
        match &config.base_url {
            Some(url) => parse_host(Some(url)),
            None => parse_host(self.text(OLLAMA_HOST)?.as_deref()),
        }
    }

    /// A key goes to the server that it was given for: `OLLAMA_API_KEY` to the cloud and to `OLLAMA_HOST`, and to a
    /// server that only an agent's file names the key that the file names, or none.
    fn ollama_key(&self, config: &LlmConfig, base: &Url) -> Result<Option<HeaderValue>, Unusable> {
        let name = key_name(config);
        let ours = config.api_key_env.is_some() || config.base_url.is_none() || is_cloud(base);
        let key = if ours { self.key(name)? } else { None };
        if key.is_none() && config.api_key_env.is_some() {
            return Err(no_key(name));
        }
        key.map(|key| bearer(name, &key)).transpose()
    }

    /// Asks once for all who ask at the same time.
    async fn ask_ollama(&self, base: &Url, key: Option<&HeaderValue>) -> Result<Vec<String>, String> {
        let mut last = self.ollama.0.lock().await;
        if let Some(said) = last.as_ref().filter(|said| said.base == *base && said.at.elapsed() < REMEMBERED) {
            return said.models.clone();
        }
        let models = installed(&self.http, base, key).await;
        *last = Some(Said { at: Instant::now(), base: base.clone(), models: models.clone() });
        models
    }
}

fn key_name(config: &LlmConfig) -> &str {
    config.api_key_env.as_deref().unwrap_or(OLLAMA_KEY)
}

//! The registry itself.

use std::sync::Arc;

use greenroom_config::{
    Environment, ProviderRules,
    spec::{LlmConfig, Output, Provider},
};
use greenroom_contract::{
    port::llm::{Llm, OutputForm},
    tree::Table,
};
use reqwest::Client;
use secrecy::SecretString;

use super::{
    ollama::Probe,
    openai::{OPENAI_KEY, OPENAI_URL},
};
use crate::{
    Unusable,
    llm::{
        anthropic, bedrock,
        fallback::Fallback,
        limits::{Account, Limits, Whose},
        priced::Priced,
        retry::Retry,
        scripted::Scripted,
        structured::{Form, Structured},
    },
};

/// Makes providers for agents. One per node: it holds the environment, the HTTP client that all calls share, and what all
/// agents share towards a provider: its limits and its circuit breaker.
pub struct Providers {
    env: Environment,
    pub(super) http: Client,
    limits: Limits,
    pub(super) ollama: Probe,
    bedrock: bedrock::Door,
}

impl Providers {
    /// A registry over this environment, whose providers call through this client (see [`crate::http_client`]).
    pub fn new(env: &Environment, http: Client) -> Self {
        Self {
            env: env.clone(),
            http,
            limits: Limits::new(ProviderRules::default(), None),
            ollama: Probe::default(),
            bedrock: bedrock::Door::default(),
        }
    }

    /// The same, which keeps to these rules and shows its limits and breakers in this table, under `providers`.
    pub fn under(self, rules: ProviderRules, table: Table) -> Self {
        Self { limits: Limits::new(rules, Some(table)), ..self }
    }

    /// The provider that `config` asks for, with its retries and its fallback chain.
    ///
    /// A member of the chain that cannot be used is left out with a warning. Fails when none can be used, with the
    /// first one's reason. It reaches out only to ask Ollama, and for `auto` without a model a server that is not OpenAI,
    /// what it has, for two seconds at most.
    pub async fn build(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        if let Some(output) = &config.output {
            check_form(output)?;
        }
        Ok(Arc::new(Structured::new(self.chain(config).await?)))
    }

    async fn chain(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        let mut members = Vec::new();
        let mut first_reason = None;
        let fallbacks = config.fallback.iter().map(|fallback| config.with_model(fallback));
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
            Provider::Ollama => self.ollama(config).await,
            Provider::Anthropic => self.anthropic(config, model(config)?),
            Provider::Bedrock => self.bedrock(config, model(config)?).await,
        };
        Ok(Priced::over(llm?, config.price))
    }

    async fn bedrock(&self, config: &LlmConfig, model: String) -> Result<Arc<dyn Llm>, Unusable> {
        let llm = self.bedrock.open(&self.env, config, model.clone()).await?;
        Ok(self.guarded(&llm.whose(), &model, |_| Arc::new(llm)))
    }

    fn anthropic(&self, config: &LlmConfig, model: String) -> Result<Arc<dyn Llm>, Unusable> {
        let llm = anthropic::open(&self.env, &self.http, config, model.clone())?;
        Ok(self.guarded(&llm.whose(), &model, |account| Arc::new(llm.heard_by(account))))
    }

    /// The first usable: Anthropic by its key, OpenAI or whatever speaks like it at `OPENAI_BASE_URL`, Bedrock by its
    /// credentials, Ollama if it answers, else the stand-in.
    async fn auto(&self, config: &LlmConfig) -> Result<Arc<dyn Llm>, Unusable> {
        // A key that the file names is for the server that the file names, which is never Anthropic's here.
        if config.base_url.is_none()
            && config.api_key_env.is_none()
            && self.text(anthropic::key_name(config))?.is_some()
        {
            let model = config.model.clone().unwrap_or_else(|| anthropic::DEFAULT_MODEL.to_owned());
            return self.anthropic(config, model);
        }
        if let Some(llm) = self.auto_openai(config).await? {
            return Ok(llm);
        }
        if config.api_key_env.is_none() && bedrock::has_credentials(&self.env)? {
            let model = config.model.clone().unwrap_or_else(|| bedrock::DEFAULT_MODEL.to_owned());
            return self.bedrock(config, model).await;
        }
        if let Some(llm) = self.auto_ollama(config).await? {
            return Ok(llm);
        }
        tracing::info!(
            "None of ANTHROPIC_API_KEY, {OPENAI_KEY}, {OPENAI_URL} and AWS's credentials with a region is set, and no Ollama \
             answers: the scripted stand-in answers in place of a model."
        );
        Ok(Arc::new(Scripted::new(config.script.clone())))
    }

    /// Puts a provider under the guard that it shares with all who ask the same.
    pub(super) fn guarded(
        &self,
        whose: &Whose,
        model: &str,
        make: impl FnOnce(Arc<Account>) -> Arc<dyn Llm>,
    ) -> Arc<dyn Llm> {
        let guard = self.limits.guard(whose, model);
        let llm = make(Arc::clone(guard.account()));
        Arc::new(Retry::guarded(llm, guard))
    }

    pub(super) fn key(&self, name: &str) -> Result<Option<SecretString>, Unusable> {
        self.env.secret(name).map_err(unreadable)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Unusable> {
        self.env.text(name).map_err(unreadable)
    }
}

/// A form that no answer can be checked against is found out before the agent runs.
fn check_form(output: &Output) -> Result<(), Unusable> {
    let form = OutputForm { name: output.name.clone(), schema: output.schema.clone() };
    match Form::new(form) {
        Ok(_) => Ok(()),
        Err(reason) => Err(Unusable::new(
            format!("llm_config.output.schema is no usable JSON Schema ({reason})"),
            "mend the schema; it may not refer to other documents",
        )),
    }
}

/// Says that a key is wanted.
pub(super) fn no_key(name: &str) -> Unusable {
    Unusable::new(format!("{name} is not set"), format!("set {name} (or {name}_FILE) in the environment or in .env"))
}

pub(super) fn model(config: &LlmConfig) -> Result<String, Unusable> {
    config.model.clone().ok_or_else(|| {
        Unusable::new(format!("{:?} needs a model's name", config.provider.as_str()), "write llm_config.model")
    })
}

fn unreadable(error: greenroom_config::env::Error) -> Unusable {
    Unusable::new(error.to_string(), "make the file readable or unset the variable")
}

//! From an agent's `llm_config` and the environment to a provider.

use greenroom_config::{Environment, spec::LlmConfig};
use reqwest::Client;

use super::{Anthropic, Options, model::PROVIDER, options::credentials, parse_base_url};
use crate::{Unusable, pricing::Capabilities};

const KEY: &str = "ANTHROPIC_API_KEY";
const URL: &str = "ANTHROPIC_BASE_URL";

/// The model of `provider: auto` with an Anthropic key: the cheapest current one (0.10 in and 0.50 out per million
/// tokens; `pricing/prices.json` has the source and the date).
pub(crate) const DEFAULT_MODEL: &str = "claude-haiku-5-5";

/// The name of the variable that holds an agent's key.
pub(crate) fn key_name(config: &LlmConfig) -> &str {
    config.api_key_env.as_deref().unwrap_or(KEY)
}

/// The provider for this model, at the address that the file names, else the environment, else Anthropic's own.
///
/// Fails without a key, except at an address that somebody gave: a gateway may need none.
pub(crate) fn open(env: &Environment, http: &Client, config: &LlmConfig, model: String) -> Result<Anthropic, Unusable> {
    let unreadable = |error: greenroom_config::env::Error| {
        Unusable::new(error.to_string(), "make the file readable or unset the variable")
    };
    let url = match &config.base_url {
        Some(url) => Some(url.clone()),
        None => env.text(URL).map_err(unreadable)?,
    };
    let name = key_name(config);
    let key = env.secret(name).map_err(unreadable)?;
    if key.is_none() && (url.is_none() || config.api_key_env.is_some()) {
        return Err(Unusable::new(
            format!("{name} is not set"),
            format!("set {name} (or {name}_FILE) in the environment or in .env"),
        ));
    }
    let version = config.anthropic.version;
    let options = Options {
        base: parse_base_url(url.as_deref())?,
        credentials: key.map(|key| credentials(version, name, &key)).transpose()?,
        key_name: name.to_owned(),
        version,
        betas: config.anthropic.betas.clone(),
        cache: config.cache,
        capabilities: Capabilities::of(PROVIDER, &model).with(Some(&config.capabilities)),
        model,
    };
    Ok(Anthropic::new(http.clone(), options))
}

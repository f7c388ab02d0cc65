//! From an agent's `llm_config` and the environment to the provider.

use std::{sync::OnceLock, time::Duration};

use aws_sdk_bedrockruntime::config::{ProvideCredentials, Region, SharedCredentialsProvider, SharedHttpClient};
use greenroom_config::{Environment, spec::LlmConfig};
use secrecy::SecretString;
use tokio::{sync::Mutex, time::Instant};

use super::{
    client::{self, Identity},
    model::{Bedrock, Options, PROVIDER},
};
use crate::{
    Unusable,
    pricing::{self, Capabilities},
};

/// The model of `provider: auto` with AWS's credentials: the cheapest current Claude (0.10 in and 0.50 out per million
/// tokens; `pricing/prices.json` has the source and the date).
pub(crate) const DEFAULT_MODEL: &str = "anthropic.claude-haiku-5-5";

const BEARER: &str = "AWS_BEARER_TOKEN_BEDROCK";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION: &str = "AWS_SESSION_TOKEN";
const REGION: &str = "AWS_REGION";
const DEFAULT_REGION: &str = "AWS_DEFAULT_REGION";
const PROFILE: &str = "AWS_PROFILE";
const ENDPOINT: &str = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME";
/// How long AWS's own chain may look for credentials: it asks the machine, which may not be one of AWS's.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether the environment names credentials for Bedrock. Machines' roles are not looked for: that takes seconds where
/// there is none.
pub(crate) fn has_credentials(env: &Environment) -> Result<bool, Unusable> {
    let set = |name| Ok(text(env, name)?.is_some());
    let named = set(BEARER)? || (set(KEY_ID)? && set(SECRET)?) || set(PROFILE)?;
    Ok(named && (set(REGION)? || set(DEFAULT_REGION)?))
}

/// For so long the chain's failure holds: a folder of a thousand agents asks once.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What all of a node's agents share towards Bedrock.
#[derive(Default)]
pub(crate) struct Door {
    http: OnceLock<SharedHttpClient>,
    /// What AWS's own chain found when it was last asked. What it found renews itself.
    chain: Mutex<Option<(Instant, Result<Found, Unusable>)>>,
}

#[derive(Clone)]
struct Found {
    provider: SharedCredentialsProvider,
    region: Option<String>,
}

impl Door {
    /// The provider for this model. What the environment names is used as it stands there; what it does not name is
    /// looked for by AWS's own chain (profile, container, machine), for ten seconds at most.
    ///
    /// Fails when there are no credentials or no region.
    pub(crate) async fn open(&self, env: &Environment, config: &LlmConfig, model: String) -> Result<Bedrock, Unusable> {
        let http = self.http.get_or_init(client::http).clone();
        let endpoint = match &config.base_url {
            Some(url) => Some(url.clone()),
            None => text(env, ENDPOINT)?,
        };
        let region = match text(env, REGION)? {
            Some(region) => Some(region),
            None => text(env, DEFAULT_REGION)?,
        };
        let (identity, region) = match named(env, config)? {
            Some((identity, name)) => (identity, region.map(|region| (region, name))),
            None => {
                let Found { provider, region } = self.found(http.clone(), region, text(env, PROFILE)?).await?;
                (Identity::Chain(provider), region.map(|region| (region, "AWS's own credentials".to_owned())))
            }
        };
        let Some((region, key_name)) = region else {
            return Err(Unusable::new(
                format!("{REGION} is not set, and Bedrock has an address in each region"),
                format!("set {REGION}, for example to us-east-1"),
            ));
        };
        if let Some(day) = pricing::deprecated(PROVIDER, &model) {
            tracing::warn!(llm.model = model, day, "Amazon takes this model away on that day; choose another in time.");
        }
        let options = Options {
            client: client::client(http, &identity, region, endpoint),
            secrets: identity.secrets(),
            key_name,
            cache: config.cache,
            capabilities: Capabilities::of(PROVIDER, &model).with(Some(&config.capabilities)),
            model,
        };
        Ok(Bedrock::new(options))
    }

    /// Asks the chain once for all who ask at the same time.
    async fn found(
        &self,
        http: SharedHttpClient,
        region: Option<String>,
        profile: Option<String>,
    ) -> Result<Found, Unusable> {
        let mut last = self.chain.lock().await;
        match &*last {
            Some((_, Ok(found))) => return Ok(found.clone()),
            Some((at, Err(unusable))) if at.elapsed() < REMEMBERED => return Err(unusable.clone()),
            _ => {}
        }
        let found = chain(http, region, profile).await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

/// The credentials that the environment names, and by which name. An API key goes before a key pair.
fn named(env: &Environment, config: &LlmConfig) -> Result<Option<(Identity, String)>, Unusable> {
    let name = config.api_key_env.as_deref().unwrap_or(BEARER);
    if let Some(key) = secret(env, name)? {
        return Ok(Some((Identity::Bearer(key), name.to_owned())));
    }
    if let Some(name) = &config.api_key_env {
        let remedy = format!("set {name} (or {name}_FILE) in the environment or in .env");
        return Err(Unusable::new(format!("{name} is not set"), remedy));
    }
    match (secret(env, KEY_ID)?, secret(env, SECRET)?) {
        (Some(id), Some(secret_key)) => {
            let identity = Identity::Keys { id, secret: secret_key, session: secret(env, SESSION)? };
            Ok(Some((identity, format!("{KEY_ID} and {SECRET}"))))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(half(SECRET, KEY_ID)),
        (None, Some(_)) => Err(half(KEY_ID, SECRET)),
    }
}

fn half(missing: &str, there: &str) -> Unusable {
    Unusable::new(format!("{missing} is not set, although {there} is"), format!("set both, or {BEARER}"))
}

async fn chain(http: SharedHttpClient, region: Option<String>, profile: Option<String>) -> Result<Found, Unusable> {
    let none = |reason: String| {
        Unusable::new(
            format!("there are no credentials for Amazon Bedrock ({reason})"),
            format!("set {BEARER}, or {KEY_ID} and {SECRET}, or {PROFILE}, or give the machine a role"),
        )
    };
    let mut loader = aws_config::defaults(client::version()).http_client(http);
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    let look = async {
        let found = loader.load().await;
        let Some(provider) = found.credentials_provider() else { return Err(none("none were found".to_owned())) };
        // The chain's own words may name files, and never hold a key.
        match provider.provide_credentials().await {
            Ok(_) => Ok(Found { provider, region: found.region().map(|region| region.as_ref().to_owned()) }),
            Err(error) => Err(none(error.to_string())),
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| Err(none(format!("none were found within {LIMIT:?}"))))
}

fn text(env: &Environment, name: &str) -> Result<Option<String>, Unusable> {
    env.text(name).map_err(unreadable)
}

fn secret(env: &Environment, name: &str) -> Result<Option<SecretString>, Unusable> {
    env.secret(name).map_err(unreadable)
}

fn unreadable(error: greenroom_config::env::Error) -> Unusable {
    Unusable::new(error.to_string(), "make the file readable or unset the variable")
}

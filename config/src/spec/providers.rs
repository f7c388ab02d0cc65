//! `providers.yaml`: what all agents of a node share towards a provider.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Provider;
use crate::HumanDuration;

/// What all agents of a node share towards the models' providers. Read when the node starts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ProviderRules {
    /// How much may be asked with each key. The first entry that fits a key holds for it; where none does, only what the
    /// provider itself tells in its answers is kept to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(dive, length(max = 100))]
    pub limits: Vec<KeyLimit>,
    /// When a model that fails is left alone.
    #[serde(default)]
    #[garde(dive)]
    pub breaker: BreakerSettings,
}

/// How much may be asked with a key, by all agents of a node together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct KeyLimit {
    /// Whose key: a provider's name, not `auto` or `scripted`.
    #[garde(custom(is_asked))]
    pub provider: Provider,
    /// Only the key in this variable; every key of the provider, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(min = 1)))]
    pub api_key_env: Option<String>,
    /// So many calls a minute; a minute's worth may be made at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub requests_per_minute: Option<u32>,
    /// So many tokens a minute, input and output together. A call is counted by an estimate until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub tokens_per_minute: Option<u32>,
    /// A call that would have to wait for longer is refused at once, and its agent's fallback is asked, if it has one.
    #[serde(default = "default_longest_wait")]
    #[garde(skip)]
    pub longest_wait: HumanDuration,
    /// So many calls wait at most; one more is refused at once.
    #[serde(default = "default_max_waiting")]
    #[garde(range(min = 1, max = 100_000))]
    pub max_waiting: u32,
}

fn default_longest_wait() -> HumanDuration {
    HumanDuration::from_secs(60)
}

fn default_max_waiting() -> u32 {
    1000
}

/// When a model that fails again and again is left alone, so that calls fail at once and fallbacks are asked. After the
/// pause one call tries, and its end decides for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// After so many failed calls in a row, whoever made them; 0 never.
    #[garde(range(max = 10_000))]
    pub failures: u32,
    /// For so long at first; twice as long after each trial that fails.
    #[garde(skip)]
    pub pause: HumanDuration,
    /// For so long at most.
    #[garde(skip)]
    pub longest_pause: HumanDuration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 10, pause: HumanDuration::from_secs(10), longest_pause: HumanDuration::from_secs(120) }
    }
}

/// `auto` becomes another provider, and the stand-in is never held back.
fn is_asked(provider: &Provider, _: &()) -> garde::Result {
    match provider {
        Provider::Auto | Provider::Scripted => Err(garde::Error::new("no provider that is asked")),
        _ => Ok(()),
    }
}

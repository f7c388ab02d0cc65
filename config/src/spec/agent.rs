//! One agent: who it is and when it wakes.

use std::collections::BTreeSet;

use garde::Validate;
use greenroom_contract::{AgentId, TopicPattern};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Clarifications, Collaboration, Conversation, Limits, LlmConfig, Supervision, ToolConfig};
use crate::HumanDuration;

/// One agent, as its YAML file defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Greenroom agent")]
pub struct AgentSpec {
    /// The agent's name, unique in its folder: 1 to 63 of `a-z 0-9 - _`.
    #[garde(skip)]
    pub name: AgentId,
    /// What kind of agent it is, in your own words (`support`, `research`); lists can be filtered by it.
    #[garde(length(min = 1, max = 64))]
    pub agent_type: String,
    /// How it runs.
    #[garde(skip)]
    pub execution_mode: Mode,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(max = 1000)))]
    pub description: Option<String>,
    /// Which model it asks.
    #[garde(dive)]
    pub llm_config: LlmConfig,
    /// Who it is, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub system_prompt: Option<String>,
    /// What it can do besides thinking. It sees no other tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(dive)]
    pub tools: Vec<ToolConfig>,
    /// How it has plans carried out by other agents, for `execution_mode: collaborative`. Without it a collaborative agent answers like
    /// an autonomous one, and carries out steps of others' plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub collaboration: Option<Collaboration>,
    /// Who answers its questions, and what happens when nobody does.
    #[serde(default, skip_serializing_if = "Clarifications::is_default")]
    #[garde(dive)]
    pub clarifications: Clarifications,
    /// Topics that wake it; `*` stands for one word, `#` for any number. `agent.input.{name}` always does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 100))]
    pub subscriptions: Vec<TopicPattern>,
    /// When it wakes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub schedule: Option<Schedule>,
    /// How many instances of it a node runs. A continuous agent has one.
    #[serde(default = "default_instances")]
    #[garde(range(min = 1, max = 256))]
    pub instances: u32,
    /// How many executions one instance runs at a time. A continuous agent runs one.
    #[serde(default = "default_concurrency")]
    #[garde(range(min = 1, max = 1024))]
    pub concurrency: u32,
    /// What an execution may use.
    #[serde(default)]
    #[garde(dive)]
    pub limits: Limits,
    /// What it keeps in view of a conversation that gets long; of a continuous agent.
    #[serde(default, skip_serializing_if = "Conversation::is_default")]
    #[garde(dive)]
    pub conversation: Conversation,
    /// What happens when it has nothing to do.
    #[serde(default)]
    #[garde(skip)]
    pub idle: Idle,
    /// How it is looked after.
    #[serde(default)]
    #[garde(dive)]
    pub supervision: Supervision,
}

impl AgentSpec {
    /// The version: a hash of everything the definition says, and of nothing else (comments and order do not count).
    pub fn version(&self) -> String {
        // A spec always serialises: its maps have string keys.
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(&Sha256::digest(json)[..8])
    }

    /// The environment's variables that it names: its model's key and what its tool servers are given.
    pub fn variables(&self) -> BTreeSet<&str> {
        let servers = self.tools.iter().filter_map(|tool| match tool {
            ToolConfig::Mcp(tool) => Some(&tool.mcp),
            ToolConfig::Builtin(_) => None,
        });
        let tools = servers.flat_map(|mcp| {
            let bearer = mcp.auth.iter().filter_map(|auth| auth.bearer_env.as_deref());
            let oauth = mcp.auth.iter().filter_map(|auth| auth.oauth.as_ref());
            let client = oauth.flat_map(|oauth| [oauth.client_id_env.as_str(), oauth.client_secret_env.as_str()]);
            bearer.chain(client).chain(mcp.env_from.values().chain(mcp.headers_from.values()).map(String::as_str))
        });
        self.llm_config.api_key_env.as_deref().into_iter().chain(tools).collect()
    }

    /// How many executions a node runs of it at a time.
    pub fn capacity(&self) -> u32 {
        match self.execution_mode {
            Mode::Continuous => 1,
            _ => self.instances.saturating_mul(self.concurrency),
        }
    }

    /// Whether its executions run one after another, in the order of arrival.
    pub fn ordered(&self) -> bool {
        self.execution_mode == Mode::Continuous
    }
}

fn default_instances() -> u32 {
    1
}

fn default_concurrency() -> u32 {
    4
}

/// How an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each event in a context of its own, many at a time.
    Autonomous,
    /// A member of plans: steps, hand-overs, questions to people.
    Collaborative,
    /// One long-lived conversation, one event at a time, in order.
    Continuous,
    /// Autonomous, with a required `schedule`.
    Scheduled,
}

impl Mode {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Autonomous => "autonomous",
            Self::Collaborative => "collaborative",
            Self::Continuous => "continuous",
            Self::Scheduled => "scheduled",
        }
    }
}

/// When an agent wakes by itself: either `cron` or `every`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five fields (minute hour day month weekday) or six (seconds first).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cron: Option<String>,
    /// An interval, for example `15m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub every: Option<HumanDuration>,
    /// IANA time zone in which `cron` is read.
    #[serde(default = "utc")]
    #[garde(length(min = 1))]
    pub timezone: String,
    /// What it is asked at each firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub input: Option<String>,
    /// What becomes of firings that no node was there for.
    #[serde(default)]
    #[garde(skip)]
    pub missed: MissedPolicy,
    /// What becomes of a firing while the last one is still at work.
    #[serde(default)]
    #[garde(skip)]
    pub overlap: OverlapPolicy,
}

impl Schedule {
    /// The schedule as one line.
    pub fn summary(&self) -> String {
        match (&self.cron, &self.every) {
            (Some(cron), _) => format!("{cron} ({})", self.timezone),
            (None, Some(every)) => format!("every {every}"),
            (None, None) => String::new(),
        }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What becomes of missed firings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// They are dropped.
    Skip,
    /// One firing stands for all.
    #[default]
    Once,
    /// Each is made up for, at most the newest 100.
    All,
}

/// What becomes of overlapping firings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// They run side by side, at most 500 of them.
    Allow,
    /// The new one is dropped.
    #[default]
    Skip,
    /// The new one waits for its turn, at most 100 of them.
    Queue,
}

/// What happens when an agent has nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// After so long without work its state is flushed and leaves memory; the next event brings it back.
    #[serde(default = "default_flush_after")]
    pub flush_after: HumanDuration,
}

impl Default for Idle {
    fn default() -> Self {
        Self { flush_after: default_flush_after() }
    }
}

fn default_flush_after() -> HumanDuration {
    HumanDuration::from_secs(600)
}

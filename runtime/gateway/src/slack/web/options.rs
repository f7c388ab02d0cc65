//! What is needed to speak to Slack.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// What is needed to speak to Slack.
#[derive(Debug, Clone)]
pub struct WebOptions {
    /// The bot's token (`SLACK_BOT_TOKEN`), for workspaces that have none of their own.
    pub bot_token: Option<SecretString>,
    /// The workspaces' own tokens (`SLACK_BOT_TOKENS`).
    pub bot_tokens: BTreeMap<String, SecretString>,
    /// The Web API's base (`SLACK_API_URL`).
    pub api_url: String,
    /// Hosts that a `response_url` may name (`GREENROOM_SLACK_RESPONSE_HOSTS`). One with a port may be plain http.
    pub response_hosts: Vec<String>,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            bot_token: None,
            bot_tokens: BTreeMap::new(),
            api_url: "https://slack.com/api".to_owned(),
            response_hosts: vec!["hooks.slack.com".to_owned()],
        }
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `SLACK_API_URL` is not an http address.
    #[error("SLACK_API_URL: {0:?} is not an http or https address")]
    ApiUrl(String),
    /// An entry of `GREENROOM_SLACK_RESPONSE_HOSTS` is not a host.
    #[error("GREENROOM_SLACK_RESPONSE_HOSTS: {0:?} is not a host or host:port")]
    ResponseHost(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client for Slack cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

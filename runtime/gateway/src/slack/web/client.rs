//! `SlackWeb`: calls Slack.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use greenroom_contract::port::reply::Error;
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    address::AllowedHosts,
    answer::{self, Posted, Refused},
    limits::Limits,
    options::{SetupError, WebOptions},
};

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(10);
const FORM: &str = "application/x-www-form-urlencoded";
/// A wait as short as this is waited for; a longer one is for whoever called.
const SHORT: Duration = Duration::from_millis(1500);

/// Slack, as the node calls it: the Web API with a workspace's token, and addresses that Slack gave. It keeps to the
/// limits that it is told of, and shows no token and no address.
pub struct SlackWeb {
    pub(super) client: Client,
    pub(super) options: WebOptions,
    pub(super) hosts: AllowedHosts,
    limits: Mutex<Limits>,
}

impl std::fmt::Debug for SlackWeb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackWeb").field("api_url", &self.options.api_url).finish_non_exhaustive()
    }
}

impl SlackWeb {
    /// Checks the options and makes the client. Fails on options that cannot be used; connects to nothing.
    pub fn new(options: WebOptions) -> Result<Self, SetupError> {
        // The workspace's one TLS backend; an error only says that it is already in place.
        rustls::crypto::ring::default_provider().install_default().ok();
        let base = options.api_url.trim_end_matches('/').to_owned();
        let usable = Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !usable {
            return Err(SetupError::ApiUrl(options.api_url));
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(DEADLINE)
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let hosts = AllowedHosts::parse(&options.response_hosts).map_err(SetupError::ResponseHost)?;
        Ok(Self { client, hosts, limits: Mutex::default(), options: WebOptions { api_url: base, ..options } })
    }

    /// Whether there is a token for a workspace.
    pub(crate) fn has_token(&self, team: Option<&str>) -> bool {
        self.token(team).is_some()
    }

    /// The workspace's own token, else the one for all others.
    fn token(&self, team: Option<&str>) -> Option<&SecretString> {
        team.and_then(|team| self.options.bot_tokens.get(team)).or(self.options.bot_token.as_ref())
    }

    /// The address, if it may be posted to; else why not.
    pub(crate) fn allowed(&self, address: &str) -> Result<Url, &'static str> {
        self.hosts.check(address)
    }

    /// Posts to a `response_url` that [`Self::allowed`] gave.
    pub(crate) async fn respond(&self, url: &Url, body: &Value) -> Result<Posted, Error> {
        answer::to_response_url(self.client.post(url.clone()).json(body)).await
    }

    /// Calls a method in a workspace. `channel` is the one that is posted into, where the method is one that posts.
    pub(crate) async fn call(
        &self,
        method: &'static str,
        team: Option<&str>,
        channel: Option<&str>,
        body: &Value,
    ) -> Result<Value, Refused> {
        self.ask(method, team, channel, |request| request.json(body)).await
    }

    /// Calls a method that takes no JSON.
    pub(crate) async fn call_by_form(
        &self,
        method: &'static str,
        team: Option<&str>,
        channel: Option<&str>,
        fields: &[(&str, String)],
    ) -> Result<Value, Refused> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask(method, team, channel, |request| request.header(CONTENT_TYPE, FORM).body(form)).await
    }

    /// Sends the bytes of a file to the address that Slack named for them.
    pub(crate) async fn upload(&self, address: &str, bytes: Vec<u8>) -> Result<(), Refused> {
        let url = self.hosts.check_named_by_slack(address).map_err(|why| Refused::ForGood { code: why.to_owned() })?;
        let request = self.client.post(url).header(CONTENT_TYPE, "application/octet-stream").body(bytes);
        answer::to_upload(request).await
    }

    async fn ask(
        &self,
        method: &'static str,
        team: Option<&str>,
        channel: Option<&str>,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Value, Refused> {
        let Some(token) = self.token(team) else {
            return Err(Refused::ForGood { code: "SLACK_BOT_TOKEN is not set".to_owned() });
        };
        let place = team.unwrap_or_default();
        let wait = self.lock().wait(place, method, channel, Instant::now());
        if wait > SHORT {
            let reason = format!("{method} has to wait in this workspace");
            return Err(Refused::ForNow { reason, retry_after: Some(wait) });
        }
        tokio::time::sleep(wait).await;
        if let Some(channel) = channel {
            self.lock().posted(place, method, channel, Instant::now());
        }
        let url = format!("{}/{method}", self.options.api_url);
        let request = with(self.client.post(url).bearer_auth(token.expose_secret()));
        let answered = answer::to_method(request, method).await;
        if let Err(Refused::ForNow { retry_after: Some(wait), .. }) = &answered {
            self.lock().told(place, method, *wait, Instant::now());
        }
        answered
    }

    fn lock(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

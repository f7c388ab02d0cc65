//! Sends answers to Slack: by `response_url` while it lives, else into the channel with the bot's token.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use greenroom_contract::{
    BoxFuture, ReplyTo,
    event::SlackReply,
    port::reply::{Error, Replies, Reply},
};
use reqwest::{Client, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    address::AllowedHosts,
    mrkdwn::mrkdwn,
    post::{self, Posted},
    split::split,
};

/// The most that one message may hold, in characters: above 4,000 Slack advises against it.
const MESSAGE_LIMIT: usize = 3500;
/// A `response_url` may be used five times.
const MOST_MESSAGES: usize = 5;
/// As much of an answer is converted, in characters: some more than all messages hold.
const CONVERTED: usize = 20_000;
/// How long sending a whole reply may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of how many unfinished replies it is remembered how far they came.
const REMEMBERED: usize = 1024;

/// What is needed to answer.
#[derive(Debug, Clone)]
pub struct ReplyOptions {
    /// The bot's token (`SLACK_BOT_TOKEN`), for answers that have no `response_url` or whose has expired.
    pub bot_token: Option<SecretString>,
    /// The Web API's base (`SLACK_API_URL`).
    pub api_url: String,
    /// Hosts that a `response_url` may name (`GREENROOM_SLACK_RESPONSE_HOSTS`). One with a port may be plain http.
    pub response_hosts: Vec<String>,
}

impl Default for ReplyOptions {
    fn default() -> Self {
        Self {
            bot_token: None,
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

/// Answers to Slack. At least once: a reply that is sent again goes on after the last message that Slack has, unless
/// the process died in between.
pub struct SlackReplies {
    client: Client,
    post_message: Url,
    bot_token: Option<SecretString>,
    hosts: AllowedHosts,
    /// How many messages of an unfinished reply Slack has, by the reply's id.
    progress: Mutex<BTreeMap<String, usize>>,
}

impl SlackReplies {
    /// Checks the options and makes the client. Fails on options that cannot be used; connects to nothing.
    pub fn new(options: ReplyOptions) -> Result<Self, SetupError> {
        // The workspace's one TLS backend; an error only says that it is already in place.
        rustls::crypto::ring::default_provider().install_default().ok();
        let base = options.api_url.trim_end_matches('/');
        let post_message = Url::parse(&format!("{base}/chat.postMessage"))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| SetupError::ApiUrl(options.api_url.clone()))?;
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(DEADLINE)
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            post_message,
            bot_token: options.bot_token,
            hosts: AllowedHosts::parse(&options.response_hosts).map_err(SetupError::ResponseHost)?,
            progress: Mutex::default(),
        })
    }

    async fn deliver(&self, reply: &Reply, to: &SlackReply) -> Result<(), Error> {
        let messages = messages(&reply.text);
        let mut way = self.first_way(reply, to)?;
        for (index, text) in messages.iter().enumerate().skip(self.sent(&reply.id)) {
            way = self.post(reply, to, way, text).await?;
            self.remember(&reply.id, index + 1);
        }
        self.forget(&reply.id);
        tracing::info!(
            trace_id = %reply.trace_id,
            reply.id,
            reply.way = way.as_str(),
            reply.messages = messages.len(),
            "A reply was delivered to Slack."
        );
        Ok(())
    }

    fn first_way(&self, reply: &Reply, to: &SlackReply) -> Result<Way, Error> {
        let Some(address) = &to.response_url else { return self.channel_way(to, "there is no response_url") };
        self.hosts.check(address).map(Way::ResponseUrl).or_else(|why| {
            tracing::warn!(trace_id = %reply.trace_id, reason = why, "A response_url was refused.");
            self.channel_way(to, why)
        })
    }

    fn channel_way(&self, to: &SlackReply, why: &str) -> Result<Way, Error> {
        let undeliverable = |missing: &str| Error::Undeliverable { reason: format!("{why}, and {missing}") };
        let token = self.bot_token.clone().ok_or_else(|| undeliverable("SLACK_BOT_TOKEN is not set"))?;
        let channel = to.channel_id.clone().ok_or_else(|| undeliverable("no channel is known"))?;
        Ok(Way::Channel { token, channel })
    }

    /// Posts one message; gives back the way that it went, for the next.
    async fn post(&self, reply: &Reply, to: &SlackReply, way: Way, text: &str) -> Result<Way, Error> {
        let way = match way {
            Way::ResponseUrl(url) => {
                let request = self.client.post(url.clone()).json(&response_body(reply, to, text));
                match post::to_response_url(request).await? {
                    Posted::Done => return Ok(Way::ResponseUrl(url)),
                    Posted::Gone(why) => {
                        tracing::info!(trace_id = %reply.trace_id, reason = why, "A response_url is spent; trying the channel.");
                        self.channel_way(to, &format!("the response_url is spent ({why})"))?
                    }
                }
            }
            way @ Way::Channel { .. } => way,
        };
        if let Way::Channel { token, channel } = &way {
            let mut body = json!({ "channel": channel, "text": text, "unfurl_links": false });
            add_thread(&mut body, to);
            let request = self.client.post(self.post_message.clone()).bearer_auth(token.expose_secret()).json(&body);
            post::to_channel(request).await?;
        }
        Ok(way)
    }

    fn sent(&self, id: &str) -> usize {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or(0)
    }

    fn remember(&self, id: &str, sent: usize) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(id.to_owned(), sent);
        if progress.len() > REMEMBERED {
            // The oldest ids sort first. Forgetting one can only repeat a message.
            progress.pop_first();
        }
    }

    fn forget(&self, id: &str) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Replies for SlackReplies {
    fn send(&self, reply: Reply) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let ReplyTo::Slack(to) = &reply.to else {
                let reason = format!("Slack's door does not send to a {}", reply.to.kind());
                return Err(Error::Undeliverable { reason });
            };
            match tokio::time::timeout(DEADLINE, self.deliver(&reply, to)).await {
                Ok(delivered) => delivered,
                Err(_) => {
                    let reason = format!("Slack did not answer within {} s", DEADLINE.as_secs());
                    Err(Error::Retry { reason, retry_after: None })
                }
            }
        })
    }
}

/// The answer as Slack takes it, in as many messages as it needs.
fn messages(markdown: &str) -> Vec<String> {
    if markdown.trim().is_empty() {
        return vec!["_(The answer is empty.)_".to_owned()];
    }
    // What could never be shown is not converted either.
    let end = markdown.char_indices().nth(CONVERTED).map(|(end, _)| end);
    let shown = mrkdwn(&markdown[..end.unwrap_or(markdown.len())]);
    split(&shown, end.is_none(), MESSAGE_LIMIT, MOST_MESSAGES)
}

/// The way that a message takes.
enum Way {
    ResponseUrl(Url),
    Channel { token: SecretString, channel: String },
}

impl Way {
    fn as_str(&self) -> &'static str {
        match self {
            Self::ResponseUrl(_) => "response_url",
            Self::Channel { .. } => "chat.postMessage",
        }
    }
}

/// Answers are for everybody in the channel; an error is for the one who asked.
fn response_body(reply: &Reply, to: &SlackReply, text: &str) -> Value {
    let response_type = if reply.is_error { "ephemeral" } else { "in_channel" };
    let mut body = json!({ "response_type": response_type, "replace_original": false, "text": text });
    add_thread(&mut body, to);
    body
}

fn add_thread(body: &mut Value, to: &SlackReply) {
    if let Some(thread) = &to.thread_ts {
        body["thread_ts"] = json!(thread);
    }
}

//! Sends answers to Slack: by `response_url` while it lives, else into the channel with the bot's token.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use greenroom_config::People;
use greenroom_contract::{
    BoxFuture, ReplyTo,
    clarification::Card,
    event::SlackReply,
    port::{
        reply::{Error, Replies, Reply},
        state::Clarifications,
    },
};
use reqwest::Url;
use serde_json::{Value, json};

use super::{
    cards::BLOCKS_REFUSED,
    file::Upload,
    messages::{Message, fits, messages},
};
use crate::slack::web::{Posted, Refused, SlackWeb};

const POST: &str = "chat.postMessage";
/// How long sending a whole reply may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// Of how many unfinished replies it is remembered how far they came.
const REMEMBERED: usize = 1024;

/// Answers to Slack. At least once: a reply that is sent again goes on after the last message that Slack has, unless
/// the process died in between.
pub struct SlackReplies {
    pub(super) web: Arc<SlackWeb>,
    /// The store, for questions as they are now.
    pub(super) questions: Arc<dyn Clarifications>,
    /// Who may answer them.
    pub(super) approvers: People,
    /// How far unfinished replies came, by the reply's id.
    progress: Mutex<BTreeMap<String, Sent>>,
}

/// How far a reply came.
#[derive(Debug, Clone, Default)]
struct Sent {
    messages: usize,
    card: Option<Card>,
    upload: Upload,
}

impl SlackReplies {
    /// Ways back by `web`. `questions` is the store; `approvers` may answer them.
    pub fn new(web: Arc<SlackWeb>, questions: Arc<dyn Clarifications>, approvers: People) -> Self {
        Self { web, questions, approvers, progress: Mutex::default() }
    }

    async fn deliver(&self, reply: &Reply, to: &SlackReply) -> Result<(), Error> {
        match reply.card {
            Some(question) => self.show(reply, to, question).await,
            None => self.deliver_text(reply, to).await,
        }
    }

    pub(super) async fn deliver_text(&self, reply: &Reply, to: &SlackReply) -> Result<(), Error> {
        if !fits(&reply.text) && self.deliver_file(reply, to).await? {
            return Ok(());
        }
        let messages = messages(&reply.text);
        let mut way = self.first_way(reply, to)?;
        for (index, message) in messages.iter().enumerate().skip(self.sent(&reply.id).messages) {
            way = self.post(reply, to, way, message).await?;
            self.remember(&reply.id, |sent| sent.messages = index + 1);
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
        self.web.allowed(address).map(Way::ResponseUrl).or_else(|why| {
            tracing::warn!(trace_id = %reply.trace_id, reason = why, "A response_url was refused.");
            self.channel_way(to, why)
        })
    }

    fn channel_way(&self, to: &SlackReply, why: &str) -> Result<Way, Error> {
        let undeliverable = |missing: &str| Error::Undeliverable { reason: format!("{why}, and {missing}") };
        if !self.web.has_token(to.team_id.as_deref()) {
            return Err(undeliverable("SLACK_BOT_TOKEN is not set"));
        }
        to.channel_id.clone().map(Way::Channel).ok_or_else(|| undeliverable("no channel is known"))
    }

    /// Posts one message; gives back the way that it went, for the next.
    async fn post(&self, reply: &Reply, to: &SlackReply, way: Way, message: &Message) -> Result<Way, Error> {
        let channel = match way {
            Way::ResponseUrl(url) => match self.respond(reply, to, &url, message).await? {
                Posted::Done => return Ok(Way::ResponseUrl(url)),
                Posted::Gone(why) => {
                    tracing::info!(trace_id = %reply.trace_id, reason = why, "A response_url is spent; trying the channel.");
                    self.channel_way(to, &format!("the response_url is spent ({why})"))?
                }
            },
            channel => channel,
        };
        if let Way::Channel(channel) = &channel {
            self.post_into(reply, to, channel, message).await?;
        }
        Ok(channel)
    }

    /// By a `response_url`, without blocks where they are refused.
    async fn respond(&self, reply: &Reply, to: &SlackReply, url: &Url, message: &Message) -> Result<Posted, Error> {
        let posted = self.web.respond(url, &response_body(reply, to, message.blocks())).await?;
        match &posted {
            Posted::Gone(code) if BLOCKS_REFUSED.contains(&code.as_str()) => {
                self.web.respond(url, &response_body(reply, to, message.text())).await
            }
            _ => Ok(posted),
        }
    }

    /// Into the channel, likewise.
    async fn post_into(&self, reply: &Reply, to: &SlackReply, channel: &str, message: &Message) -> Result<(), Error> {
        let post = async |mut body: Value| {
            body["channel"] = json!(channel);
            body["unfurl_links"] = json!(false);
            add_thread(&mut body, to);
            self.web.call(POST, to.team_id.as_deref(), Some(channel), &body).await
        };
        match post(message.blocks()).await {
            Ok(_) => Ok(()),
            Err(Refused::ForGood { code }) if BLOCKS_REFUSED.contains(&code.as_str()) => {
                tracing::warn!(trace_id = %reply.trace_id, code, "Slack refused an answer's blocks; it is sent as a text.");
                post(message.text()).await.map(drop).map_err(|refused| refused.of(POST))
            }
            Err(refused) => Err(refused.of(POST)),
        }
    }

    pub(super) fn posted_card(&self, id: &str) -> Option<Card> {
        self.sent(id).card
    }

    pub(super) fn remember_card(&self, id: &str, card: &Card) {
        self.remember(id, |sent| sent.card = Some(card.clone()));
    }

    pub(super) fn upload_of(&self, id: &str) -> Upload {
        self.sent(id).upload
    }

    pub(super) fn remember_upload(&self, id: &str, upload: Upload) {
        self.remember(id, |sent| sent.upload = upload);
    }

    fn sent(&self, id: &str) -> Sent {
        self.lock().get(id).cloned().unwrap_or_default()
    }

    fn remember(&self, id: &str, change: impl FnOnce(&mut Sent)) {
        let mut progress = self.lock();
        change(progress.entry(id.to_owned()).or_default());
        if progress.len() > REMEMBERED {
            // The oldest ids sort first. Forgetting one can only repeat a message.
            progress.pop_first();
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Sent>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The way that a message takes.
enum Way {
    ResponseUrl(Url),
    Channel(String),
}

impl Way {
    fn as_str(&self) -> &'static str {
        match self {
            Self::ResponseUrl(_) => "response_url",
            Self::Channel(_) => POST,
        }
    }
}

/// Answers are for everybody in the channel; an error is for the one who asked.
fn response_body(reply: &Reply, to: &SlackReply, mut body: Value) -> Value {
    let response_type = if reply.is_error { "ephemeral" } else { "in_channel" };
    body["response_type"] = json!(response_type);
    body["replace_original"] = json!(false);
    add_thread(&mut body, to);
    body
}

pub(super) fn add_thread(body: &mut Value, to: &SlackReply) {
    if let Some(thread) = &to.thread_ts {
        body["thread_ts"] = json!(thread);
    }
}

//! What the door makes of a request that is something: events, once; an answer; a stop.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use greenroom_contract::{Event, EventId, ExecutionId, ReplyTo, TraceId, event::SlackUser, port::operator};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    SlackDoor,
    access::Act,
    ask::{tell, whisper},
    classify::Caller,
    draft::{Also, Draft, topic},
    stop::Stop,
};
use crate::{Doors, http::Problem};

/// What the person is told whose command or click could not be taken in: Slack does not send those again.
const APOLOGY: &str = "Sorry, I could not take that in just now. Please try again in a minute.";
/// What the person is told who may not.
const NOT_ALLOWED: &str = "Sorry, you may not ask me things here. Whoever looks after me can change that.";

/// A request that was understood.
pub(super) struct Taken<'a> {
    pub(super) doors: &'a Doors,
    pub(super) slack: &'a SlackDoor,
    pub(super) trace_id: TraceId,
    pub(super) kind: &'a str,
    /// Which of Slack's retries it is.
    pub(super) retry: Option<u8>,
    pub(super) started: Instant,
    /// By when Slack has to be answered.
    pub(super) deadline: Instant,
}

impl Taken<'_> {
    /// Publishes the events, and says what Slack, or the person who waits, is told.
    pub(super) async fn events(&self, caller: Caller, drafts: Vec<Draft>) -> Result<Response, Problem> {
        if let Some(refused) = drafts.iter().find(|draft| !self.is_allowed(draft)) {
            let who = refused.reply.user.as_ref().map(SlackUser::to_string);
            tracing::warn!(kind = self.kind, who, "Somebody who may not wake agents was left alone.");
            return self.say(&caller, NOT_ALLOWED);
        }
        match timeout_at(self.deadline, self.publish(drafts)).await {
            Ok(Ok(())) => Ok(StatusCode::OK.into_response()),
            Ok(Err(error)) => self.refuse(caller, error),
            Err(_) => {
                self.refuse(caller, operator::Error::Unavailable { why: "the store did not answer in time".into() })
            }
        }
    }

    /// Ends what is at work in a conversation, and tells of it.
    pub(super) async fn stop(&self, stop: &Stop, draft: Draft) -> Result<Response, Problem> {
        if !self.is_allowed(&draft) {
            tracing::warn!(kind = self.kind, "Somebody who may not wake agents wanted to stop one.");
            return Ok(StatusCode::OK.into_response());
        }
        let ended = async {
            let cancelled = stop.carry_out(self.doors).await?;
            tracing::info!(executions = cancelled, "A person stopped the work of a conversation in Slack.");
            self.publish(vec![draft]).await
        };
        match timeout_at(self.deadline, ended).await {
            Ok(Ok(())) => Ok(StatusCode::OK.into_response()),
            Ok(Err(error)) => self.refuse(Caller::Retries, error),
            Err(_) => {
                let why = "the store did not answer in time".to_owned();
                self.refuse(Caller::Retries, operator::Error::Unavailable { why })
            }
        }
    }

    fn is_allowed(&self, draft: &Draft) -> bool {
        // A bot that is named is let in by that.
        let (who, home) = (draft.reply.user.as_ref(), draft.reply.team_id.as_deref());
        draft.by_bot || self.slack.rules.allow(who, home, Act::Wake)
    }

    async fn publish(&self, drafts: Vec<Draft>) -> Result<(), operator::Error> {
        for draft in drafts {
            if let Some(thread) = draft.conversation.as_deref() {
                if !draft.by_bot {
                    self.slack.loops.person(thread);
                } else if !self.slack.loops.bot(thread, Instant::now()) {
                    tracing::warn!(
                        kind = self.kind,
                        "Bots have had their turns in this thread; a person has to speak."
                    );
                    continue;
                }
            }
            let also = self.second_topic(&draft).await?;
            let event = self.event(draft);
            if let Some(topic) = also {
                self.submit(event.clone()).await?;
                self.submit(Event { event_type: topic, ..event }).await?;
            } else {
                self.submit(event).await?;
            }
        }
        Ok(())
    }

    async fn submit(&self, event: Event) -> Result<(), operator::Error> {
        let (topic, event_id) = (event.event_type.clone(), event.event_id);
        match self.doors.operator.publish(event).await {
            Ok(()) => tracing::info!(
                kind = self.kind,
                topic,
                %event_id,
                slack.retry = self.retry,
                duration_ms = self.started.elapsed().as_millis() as u64,
                "Slack request taken in"
            ),
            // The same words under the same topic are in already, as Slack told of them the first time.
            Err(operator::Error::Conflict { .. }) => {
                tracing::info!(kind = self.kind, topic, %event_id, "A Slack request was taken in before.");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The topic for those who want only direct messages, or only threads in which they take part.
    async fn second_topic(&self, draft: &Draft) -> Result<Option<String>, operator::Error> {
        let channel = draft.reply.channel_id.as_deref().unwrap_or("_");
        match &draft.also {
            Also::Nothing => Ok(None),
            Also::DirectMessage => Ok(Some(topic("direct_message", channel))),
            Also::Thread { ours, root } => {
                let thread = topic("thread", channel);
                let takes_part = *ours || self.takes_part(&thread, *root).await?;
                Ok(takes_part.then_some(thread))
            }
        }
    }

    /// Whether an agent that listens to threads was woken by the message that began this one.
    async fn takes_part(&self, thread: &str, root: EventId) -> Result<bool, operator::Error> {
        let agents = self.doors.operator.agents();
        let listens = agents.iter().filter(|agent| agent.subscriptions.iter().any(|topic| topic.matches(thread)));
        for agent in listens {
            if self.doors.state.execution(ExecutionId::of(&agent.name, root)).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn event(&self, draft: Draft) -> Event {
        let mut event = Event::new(draft.topic, "slack", self.trace_id, draft.payload);
        event.event_id = draft.id;
        event.timestamp = self.doors.clock.now();
        event.correlation_id = draft.correlation;
        event.conversation = draft.conversation;
        // An answer needs an address or a channel; a global shortcut has neither.
        let reachable = draft.reply.response_url.is_some() || draft.reply.channel_id.is_some();
        event.reply_to = reachable.then_some(ReplyTo::Slack(draft.reply));
        event
    }

    fn refuse(&self, caller: Caller, error: operator::Error) -> Result<Response, Problem> {
        let again = matches!(error, operator::Error::Unavailable { .. });
        let duration_ms = self.started.elapsed().as_millis() as u64;
        tracing::error!(%error, kind = self.kind, duration_ms, "A Slack request could not be taken in.");
        match caller {
            Caller::Retries if again => Err(error.into()),
            Caller::Retries => Err(Problem::from(error).header(no_retry(), HeaderValue::from_static("1"))),
            // A form without inputs has no place for a text: an error makes Slack keep it open and say so itself.
            Caller::Form { block: None } => Err(error.into()),
            caller => self.say(&caller, APOLOGY),
        }
    }

    /// Tells the person who waits something; Slack itself is told that all is well.
    fn say(&self, caller: &Caller, text: &'static str) -> Result<Response, Problem> {
        match caller {
            // What a click is answered with is shown to nobody.
            Caller::Person { response_url: Some(address) } => {
                tell(&self.slack.web, address, vec![whisper(text)], self.trace_id);
                Ok(StatusCode::OK.into_response())
            }
            Caller::Person { response_url: None } => {
                Ok(Json(json!({ "response_type": "ephemeral", "text": text })).into_response())
            }
            Caller::Form { block } => {
                let block: Cow<'_, str> = block.as_deref().unwrap_or("_").into();
                let errors = serde_json::Map::from_iter([(block.into_owned(), Value::from(text))]);
                Ok(Json(json!({ "response_action": "errors", "errors": errors })).into_response())
            }
            Caller::Retries => Ok(StatusCode::OK.into_response()),
        }
    }
}

/// Tells Slack never to send a request again.
pub(super) fn no_retry() -> HeaderName {
    HeaderName::from_static("x-slack-no-retry")
}

//! The messages that show a question, made to agree with the store: posted once, and changed when the question has its end,
//! whoever gave it that, wherever.

use greenroom_contract::{
    ClarificationId, TraceId,
    clarification::{Card, Clarification},
    event::SlackReply,
    port::reply::{Error, Reply},
    status::ClarificationStatus,
};
use serde_json::{Value, json};

use super::sender::{SlackReplies, add_thread};
use crate::slack::{
    ask::{Drawn, draw},
    web::{Posted, Refused},
};

const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";
/// After these the message is not there to be changed any more, or nobody could: there is nothing to be done about it.
const GONE: &[&str] = &[
    "message_not_found",
    "channel_not_found",
    "cant_update_message",
    "edit_window_closed",
    "is_inactive",
    "is_archived",
    "not_in_channel",
    "SLACK_BOT_TOKEN is not set",
];
/// After these a message may be posted without its blocks.
pub(super) const BLOCKS_REFUSED: &[&str] =
    &["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "invalid_attachments"];

impl SlackReplies {
    /// Makes the messages of a question agree with it. Doing so again changes nothing.
    pub(super) async fn show(&self, reply: &Reply, to: &SlackReply, id: ClarificationId) -> Result<(), Error> {
        let unavailable = |error: &dyn std::fmt::Display| Error::Retry {
            reason: format!("the question cannot be read: {error}"),
            retry_after: None,
        };
        let asked = self.questions.clarification(id).await.map_err(|error| unavailable(&error))?;
        // It was deleted with its execution.
        let Some(asked) = asked else { return Ok(()) };
        let drawn = draw(&asked, &self.approvers);
        if asked.status != ClarificationStatus::Open {
            for card in &asked.cards {
                self.change(to, card, &drawn, reply.trace_id).await?;
            }
            return Ok(());
        }
        if !asked.cards.is_empty() {
            return Ok(());
        }
        let card = match self.posted_card(&reply.id) {
            Some(card) => Some(card),
            None => self.post_card(reply, to, &asked, &drawn).await?,
        };
        if let Some(card) = card {
            // Between the post and this note a crash leaves a card that the store does not know of, and another is posted.
            // The first click on either tells the store, and both work.
            self.remember_card(&reply.id, &card);
            self.questions.note_card(id, card).await.map_err(|error| unavailable(&error))?;
        }
        self.forget(&reply.id);
        tracing::info!(trace_id = %reply.trace_id, clarification_id = %id, "A question is shown in Slack.");
        Ok(())
    }

    /// Posts it. By the channel if that can be, because only there it can be changed later.
    async fn post_card(
        &self,
        reply: &Reply,
        to: &SlackReply,
        asked: &Clarification,
        drawn: &Drawn,
    ) -> Result<Option<Card>, Error> {
        let refused = match &to.channel_id {
            Some(channel) if self.web.has_token(to.team_id.as_deref()) => {
                let mut body = json!({
                    "channel": channel, "text": drawn.text, "blocks": drawn.blocks, "unfurl_links": false,
                    "metadata": { "event_type": "greenroom_question", "event_payload": { "id": asked.id } },
                });
                add_thread(&mut body, to);
                match self.web.call(POST, to.team_id.as_deref(), Some(channel), &body).await {
                    Ok(answer) => return Ok(card_of(&answer, channel)),
                    Err(Refused::ForGood { code }) if BLOCKS_REFUSED.contains(&code.as_str()) => {
                        tracing::warn!(trace_id = %reply.trace_id, code, "Slack refused a question's blocks; it is told as a text.");
                        return self.deliver_text(reply, to).await.map(|()| None);
                    }
                    Err(refused @ Refused::ForNow { .. }) => return Err(refused.of(POST)),
                    Err(refused) => Some(refused.of(POST)),
                }
            }
            _ => None,
        };
        let Some(address) = &to.response_url else {
            let missing =
                || Error::Undeliverable { reason: "there is no response_url, and SLACK_BOT_TOKEN is not set".into() };
            return Err(refused.unwrap_or_else(missing));
        };
        let url = self.web.allowed(address).map_err(|why| Error::Undeliverable { reason: why.to_owned() })?;
        let mut body = json!({
            "response_type": "in_channel", "replace_original": false, "text": drawn.text, "blocks": drawn.blocks,
        });
        add_thread(&mut body, to);
        match self.web.respond(&url, &body).await? {
            Posted::Done => Ok(None),
            Posted::Gone(why) => Err(refused
                .unwrap_or_else(|| Error::Undeliverable { reason: format!("the response_url is spent ({why})") })),
        }
    }

    async fn change(&self, to: &SlackReply, card: &Card, drawn: &Drawn, trace_id: TraceId) -> Result<(), Error> {
        let body = json!({ "channel": card.channel_id, "ts": card.ts, "text": drawn.text, "blocks": drawn.blocks });
        match self.web.call(UPDATE, to.team_id.as_deref(), None, &body).await {
            Ok(_) => Ok(()),
            Err(Refused::ForGood { code }) if GONE.contains(&code.as_str()) => {
                tracing::info!(%trace_id, code, "A question's message in Slack cannot be changed any more.");
                Ok(())
            }
            Err(refused) => Err(refused.of(UPDATE)),
        }
    }
}

/// Where Slack has put a message.
fn card_of(answer: &Value, channel: &str) -> Option<Card> {
    let ts = answer["ts"].as_str()?.to_owned();
    let channel_id = answer["channel"].as_str().unwrap_or(channel).to_owned();
    Some(Card { channel_id, ts })
}

//! An answer from Slack. The store decides who was first; Slack is told what became of it.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{
    ClarificationId, ReplyTo, TraceId,
    clarification::Clarification,
    event::SlackReply,
    port::{operator, reply::Error, state},
    status::ClarificationStatus,
    task,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{
    card::{draw, ending},
    click::Click,
};
use crate::{
    Doors,
    slack::{SlackDoor, access::Act, web::SlackWeb},
};

/// What the person is told whose click could not be taken in: Slack does not send it again.
const APOLOGY: &str = "Sorry, I could not take that in just now. Please try again in a minute.";
/// Tries to tell somebody something, and how long before the second.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(300);

/// What a click leads to.
pub(crate) struct Answering<'a> {
    pub(crate) doors: &'a Doors,
    pub(crate) slack: &'a SlackDoor,
    pub(crate) trace_id: TraceId,
}

/// What became of a click.
enum Outcome {
    /// It counts.
    Counts(Clarification),
    /// Somebody, or time, was first.
    TooLate(Clarification),
    /// Nothing was changed, and this is why.
    Refused(String),
}

impl Answering<'_> {
    /// Takes an answer in, at the latest by `deadline`, and sees to it that everybody is told. No click is swallowed: who
    /// clicked hears of it whatever became of it.
    pub(crate) async fn take(&self, click: Click, deadline: Instant) {
        let outcome = match timeout_at(deadline, self.decide(&click)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(%error, "An answer from Slack could not be taken in.");
                Outcome::Refused(APOLOGY.to_owned())
            }
            Err(_) => {
                tracing::error!("An answer from Slack was not taken in in time.");
                Outcome::Refused(APOLOGY.to_owned())
            }
        };
        let Some(address) = &click.response_url else { return };
        let approvers = &self.slack.rules.approvers;
        let redraw = |asked: &Clarification| {
            let drawn = draw(asked, approvers);
            json!({ "replace_original": true, "text": drawn.text, "blocks": drawn.blocks })
        };
        let told = match outcome {
            // The outbox brings every card up to date; this only takes the buttons away at once.
            Outcome::Counts(asked) => vec![redraw(&asked)],
            Outcome::TooLate(asked) => {
                vec![whisper(&format!("That was decided already. {}", ending(&asked))), redraw(&asked)]
            }
            Outcome::Refused(why) => vec![whisper(&why)],
        };
        tell(&self.slack.web, address, told, self.trace_id);
    }

    async fn decide(&self, click: &Click) -> Result<Outcome, operator::Error> {
        let Some(asked) = self.find(click.question).await? else {
            return Ok(Outcome::Refused("I do not know this question any more.".to_owned()));
        };
        if asked.status != ClarificationStatus::Open {
            return Ok(Outcome::TooLate(asked));
        }
        let to = match &asked.reply_to {
            Some(ReplyTo::Slack(to)) => to.clone(),
            _ => SlackReply::default(),
        };
        let home = to.team_id.as_deref().or(click.team.as_deref());
        if !self.slack.rules.allow(Some(&click.who), home, Act::Answer { asker: to.user.as_ref() }) {
            tracing::warn!(
                trace_id = %asked.trace_id, clarification_id = %asked.id, by = %click.who,
                "A click by somebody who may not answer was refused."
            );
            return Ok(Outcome::Refused(refusal(&to, self.slack)));
        }
        let Some(answer) = click.answer(&asked) else {
            return Ok(Outcome::Refused("This button does not fit the question any more.".to_owned()));
        };
        self.note_card(&asked, click).await;
        match self.doors.operator.answer(asked.id, answer, click.who.to_string()).await {
            Ok(decided) => Ok(Outcome::Counts(decided)),
            Err(operator::Error::Conflict { .. }) => match self.find(Some(asked.id)).await? {
                Some(asked) => Ok(Outcome::TooLate(asked)),
                None => Ok(Outcome::Refused("I do not know this question any more.".to_owned())),
            },
            Err(operator::Error::Forbidden { why }) => Ok(Outcome::Refused(format!("{why}."))),
            Err(operator::Error::Invalid { why }) => Ok(Outcome::Refused(format!("That is no answer yet: {why}."))),
            Err(error) => Err(error),
        }
    }

    async fn find(&self, id: Option<ClarificationId>) -> Result<Option<Clarification>, state::Error> {
        match id {
            Some(id) => self.doors.state.clarification(id).await,
            None => Ok(None),
        }
    }

    /// A message that the store does not know, because a process died between posting it and writing that down.
    async fn note_card(&self, asked: &Clarification, click: &Click) {
        let Some(card) = click.card.clone().filter(|card| !asked.cards.contains(card)) else { return };
        if let Err(error) = self.doors.state.note_card(asked.id, card).await {
            tracing::debug!(%error, "Where a question is shown could not be written down.");
        }
    }
}

fn refusal(to: &SlackReply, slack: &SlackDoor) -> String {
    let approvers = &slack.rules.approvers;
    let mut who = approvers.mentions();
    if let Some(asker) = to.user.as_ref().filter(|_| approvers.has_asker()) {
        who.insert(0, format!("<@{}>", asker.user_id));
    }
    match who.as_slice() {
        [] => "You may not answer this.".to_owned(),
        who => format!("Only {} may answer this.", who.join(" or ")),
    }
}

/// Something that only the one who clicked sees.
pub(crate) fn whisper(text: &str) -> Value {
    json!({ "response_type": "ephemeral", "replace_original": false, "text": text })
}

/// Tells the one who clicked, beside the acknowledgement that Slack waits for. Should the process die now, nobody is told:
/// the store has what counts, and another click says so.
pub(crate) fn tell(web: &Arc<SlackWeb>, address: &str, told: Vec<Value>, trace_id: TraceId) {
    let url = match web.allowed(address) {
        Ok(url) => url,
        Err(reason) => {
            tracing::warn!(%trace_id, reason, "A response_url was refused.");
            return;
        }
    };
    let web = Arc::clone(web);
    task::spawn("slack-tell", async move {
        for body in told {
            for again in 0..TRIES {
                match web.respond(&url, &body).await {
                    Ok(_) => break,
                    Err(Error::Undeliverable { reason }) => {
                        tracing::warn!(%trace_id, reason, "Somebody who clicked in Slack could not be told.");
                        break;
                    }
                    Err(Error::Retry { reason, retry_after }) if again + 1 < TRIES => {
                        tracing::debug!(%trace_id, reason, "Somebody who clicked in Slack is told again.");
                        let wait = retry_after.unwrap_or(FIRST_WAIT * (again + 1)).min(Duration::from_secs(30));
                        tokio::time::sleep(wait).await;
                    }
                    Err(error) => {
                        tracing::warn!(%trace_id, %error, "Somebody who clicked in Slack could not be told.");
                    }
                }
            }
        }
    });
}

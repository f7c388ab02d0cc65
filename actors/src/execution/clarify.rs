//! Questions to people: how they are put, and what an answer makes of the step that asked. Pure.

use greenroom_config::spec::{Clarifications, OnExpiry};
use greenroom_contract::{
    AgentId, ClarificationId, Event, EventId, MicroUsd, ReplyTo,
    clarification::{Clarification, Escalation, Question},
    execution::Claimed,
    port::{
        state::{Asked, Outgoing},
        tool::Answer,
    },
    status::{Category, ClarificationStatus, Purpose, StepStatus},
};
use serde_json::{Value, json};

/// How many characters of arguments are shown to a person.
const LONGEST_SHOWN: usize = 8_000;
/// What may have become of a call that broke off.
const DONE: &str = "done";
const NOT_DONE: &str = "not done";
const CALL_AGAIN: &str = "call again";

/// What became of a call that must not be made twice?
pub(super) fn outcome_unknown(name: &str, how: &str) -> Question {
    let guidance = format!(
        "The call of the tool {name} {how}, and it must not happen twice: it may or may not have happened. Look there, then \
         say: `{DONE}` if it happened, `{NOT_DONE}` if it did not and shall not, `{CALL_AGAIN}` if it did not and shall be \
         made now."
    );
    Question::choice(guidance, [DONE, NOT_DONE, CALL_AGAIN])
}

/// May an execution spend as much once more?
pub(super) fn budget_spent(why: &str, more: MicroUsd) -> Question {
    let guidance = format!("The budget does not reach: {why}. May this execution spend {more} more?");
    Question { category: Category::UserVerification, ..Question::input(guidance) }
}

/// A question as the agent's file wants its questions: who may answer, until when, and what counts when nobody does.
pub(super) fn under_rules(rules: &Clarifications, question: Question) -> Question {
    let expires = rules.expires.map(|expires| expires.0.as_secs().max(1));
    let expires_in_s = question.expires_in_s.into_iter().chain(expires).min();
    let default = question.default.filter(|_| rules.on_expiry != OnExpiry::Fail);
    let escalate = rules.escalate.as_ref().filter(|_| rules.on_expiry == OnExpiry::Escalate);
    let escalation = escalate.map(|to| Escalation { to: to.to.clone(), within_s: to.within.0.as_secs().max(1) });
    let approvers = if question.approvers.is_empty() { rules.approvers.clone() } else { question.approvers };
    Question { expires_in_s, default, escalation, approvers, ..question }
}

/// May a tool be called with these arguments? `None` if they are too long: nobody allows what nobody can see.
pub(super) fn approval(agent: &AgentId, name: &str, input: &Value) -> Option<Question> {
    let arguments = serde_json::to_string_pretty(input).unwrap_or_default();
    if arguments.chars().nth(LONGEST_SHOWN).is_some() {
        return None;
    }
    let guidance = format!("May {agent} call the tool {name} with these arguments?\n{arguments}");
    Some(Question { category: Category::UserVerification, ..Question::input(guidance) })
}

/// Whether people want a call to be made again.
pub(super) fn is_to_be_called_again(result: &Value) -> bool {
    result["call_again"] == json!(true)
}

/// Whether people allow what they were asked for.
pub(super) fn is_granted(result: &Value) -> bool {
    result["granted"] == json!(true)
}

/// Under which questions are told of.
const TOPIC: &str = "greenroom.clarification";

/// The question, for whoever listens. Who was woken by such news and asks itself is not told of: it would wake itself, and
/// ask for ever.
pub(super) fn announcement(claimed: &Claimed, id: ClarificationId, asked: &Asked) -> Option<Outgoing> {
    if claimed.event.event_type.starts_with(TOPIC) {
        return None;
    }
    let payload = json!({
        "clarification_id": id,
        "execution_id": claimed.fence.execution,
        "agent": claimed.agent,
        "purpose": asked.purpose,
        "category": asked.question.category,
        "user_guidance": asked.question.user_guidance,
        "options": asked.question.options,
        "approvers": asked.question.approvers,
        "expires_in_s": asked.question.expires_in_s,
    });
    let topic = format!("{TOPIC}.asked.{}", claimed.agent);
    let mut event = Event::new(topic, format!("agent/{}", claimed.agent), claimed.event.trace_id, payload);
    event.event_id = EventId::derived(&["asked", &id.to_string()]);
    event.correlation_id = Some(claimed.event.event_id.to_string());
    event.conversation.clone_from(&claimed.event.conversation);
    Some(Outgoing::Event { event, mandatory: false })
}

/// That others may answer a question now, for whoever listens.
pub(crate) fn escalation(asked: &Clarification, question: &Question) -> Option<Outgoing> {
    let payload = json!({
        "clarification_id": asked.id,
        "execution_id": asked.execution_id,
        "agent": asked.agent,
        "purpose": asked.purpose,
        "user_guidance": question.user_guidance,
        "options": question.options,
        "approvers": question.approvers,
        "expires_in_s": question.expires_in_s,
    });
    told(asked, "escalated", "escalated", payload)
}

/// That a question has its end, for whoever listens.
pub(crate) fn news(
    asked: &Clarification,
    status: ClarificationStatus,
    answer: Option<&Value>,
    by: &str,
) -> Option<Outgoing> {
    let payload = json!({
        "clarification_id": asked.id,
        "execution_id": asked.execution_id,
        "agent": asked.agent,
        "status": status,
        "answer": answer,
        "answered_by": by,
    });
    told(asked, status.as_str(), "clarified", payload)
}

/// What became of a question, told once of each `kind`; not if the question came of such news itself.
fn told(asked: &Clarification, what: &str, kind: &str, payload: Value) -> Option<Outgoing> {
    if asked.event_type.starts_with(TOPIC) {
        return None;
    }
    let topic = format!("{TOPIC}.{what}.{}", asked.agent);
    let mut event = Event::new(topic, "clarifications", asked.trace_id, payload);
    event.event_id = EventId::derived(&[kind, &asked.id.to_string()]);
    Some(Outgoing::Event { event, mandatory: false })
}

/// That the messages in which a question is shown are to show its end.
pub(crate) fn redrawn(asked: &Clarification) -> Option<Outgoing> {
    let to = asked.reply_to.clone().filter(|to| matches!(to, ReplyTo::Slack(_)))?;
    let text = "The question has its answer.".to_owned();
    Some(Outgoing::Reply { to, text, is_error: false, card: Some(asked.id), trace_id: asked.trace_id })
}

/// The question as a message to the person with whom the agent talks.
pub(super) fn card(id: ClarificationId, question: &Question) -> String {
    let choices = match question.category {
        Category::MultipleChoice => format!("\nOne of: {}", question.options.join(", ")),
        Category::UserVerification => "\nyes or no".to_owned(),
        _ => String::new(),
    };
    format!("{}{choices}\nAnswer with `greenroom answer {id} …`", question.user_guidance)
}

/// How the step that asked ends with an answer, or without one.
pub(crate) fn ending(asked: &Clarification, answer: Option<&Value>) -> (StepStatus, Value) {
    let said = |answer: Answer| {
        let status = if answer.is_error { StepStatus::Failed } else { StepStatus::Settled };
        (status, serde_json::to_value(answer).unwrap_or(Value::Null))
    };
    match (asked.purpose, answer) {
        (Purpose::Tool, Some(Value::String(text))) => said(Answer::text(text)),
        (Purpose::Tool, Some(Value::Bool(yes))) => said(Answer::text(if *yes { "yes" } else { "no" })),
        (Purpose::Tool, Some(other)) => said(Answer::text(other.to_string())),
        (Purpose::Tool, None) => said(Answer::error("nobody answered in time")),
        (Purpose::Budget | Purpose::Approval, answer) => {
            (StepStatus::Settled, json!({ "granted": answer == Some(&Value::Bool(true)) }))
        }
        (Purpose::OutcomeUnknown, Some(word)) if word == CALL_AGAIN => {
            (StepStatus::Settled, json!({ "call_again": true }))
        }
        (Purpose::OutcomeUnknown, Some(word)) if word == DONE => {
            said(Answer::text("It was done, a person says; what it returned is not known."))
        }
        (Purpose::OutcomeUnknown, _) => said(Answer::error("It was not done, a person says, and shall not be.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_put_under_the_rules_of_their_agent() {
        let rules = |more: Value| serde_json::from_value::<Clarifications>(more).unwrap();
        let asked = || Question { default: Some(json!("yes")), expires_in_s: Some(600), ..Question::input("?") };
        assert_eq!(under_rules(&rules(json!({})), asked()), asked());
        let strict = rules(json!({ "approvers": ["ann"], "expires": "1m", "on_expiry": "fail" }));
        let put = under_rules(&strict, asked());
        assert_eq!((put.expires_in_s, put.default, put.approvers), (Some(60), None, vec!["ann".to_owned()]));
        let escalate =
            json!({ "on_expiry": "escalate", "expires": "1h", "escalate": { "to": ["boss"], "within": "2h" } });
        let put = under_rules(&rules(escalate), Question { approvers: vec!["own".into()], ..asked() });
        assert_eq!((put.expires_in_s, put.approvers), (Some(600), vec!["own".to_owned()]));
        assert_eq!(put.escalation, Some(Escalation { to: vec!["boss".into()], within_s: 7200 }));
    }
}

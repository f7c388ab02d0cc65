//! Clarifications: questions to people, on whose answers an execution waits.
//!
//! An execution that asks ends its run and holds nothing while it waits: neither memory nor a credit, for a minute or a
//! week. The answer settles the step that asked, in one transaction; the execution is then due again, on whatever node,
//! and finds the answer in its journal like that of any other call.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    event::ReplyTo,
    id::{AgentId, ClarificationId, ExecutionId, TraceId},
    status::{Category, ClarificationStatus, Purpose},
};

/// The longest text of a question or an answer, in characters.
pub const LONGEST_TEXT: usize = 10_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What kind of answer it wants.
    pub category: Category,
    /// The question, for a person.
    pub user_guidance: String,
    /// What can be chosen, for [`Category::MultipleChoice`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The answer that counts when nobody gives one in time. Without it the wait then ends without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// In how many seconds it is too late to answer; absent is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
    /// Who may answer, by the names under which doors know them; empty: whoever the door lets in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Who may answer besides when nobody has in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Whether that has come to pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
}

/// Who may answer a question that nobody has answered in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Who, besides those who could before.
    pub to: Vec<String>,
    /// How many seconds they have.
    pub within_s: u64,
}

impl Question {
    /// A question for a text.
    pub fn input(guidance: impl Into<String>) -> Self {
        Self {
            category: Category::Input,
            user_guidance: guidance.into(),
            options: Vec::new(),
            default: None,
            expires_in_s: None,
            approvers: Vec::new(),
            escalation: None,
            escalated: false,
        }
    }

    /// Whether somebody may answer. Names are compared whatever their case.
    pub fn may_be_answered_by(&self, who: &str) -> bool {
        let who = who.trim().to_lowercase();
        self.approvers.is_empty() || self.approvers.iter().any(|approver| approver.trim().to_lowercase() == who)
    }

    /// The question as it goes on when nobody has answered in time, if others are to be asked then: once.
    pub fn escalated(&self) -> Option<Self> {
        let Escalation { to, within_s } = self.escalation.clone()?;
        // Who could answer before still can. A question that everybody may answer stays one.
        let approvers = match self.approvers.is_empty() {
            true => Vec::new(),
            false => self.approvers.iter().cloned().chain(to).collect(),
        };
        Some(Self { approvers, escalation: None, escalated: true, expires_in_s: Some(within_s), ..self.clone() })
    }

    /// A question with options.
    pub fn choice<T: Into<String>>(guidance: impl Into<String>, options: impl IntoIterator<Item = T>) -> Self {
        let options = options.into_iter().map(Into::into).collect();
        Self { category: Category::MultipleChoice, options, ..Self::input(guidance) }
    }

    /// Reads an answer as the question wants it. Words count as options whatever their case, and for yes or no.
    ///
    /// Fails with what is wanted, for a person.
    pub fn read(&self, answer: &Value) -> Result<Value, String> {
        if answer.is_null() || answer.as_str().is_some_and(|text| text.trim().is_empty()) {
            return Err("an answer is wanted; there is none".to_owned());
        }
        if answer.as_str().is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
            return Err(format!("an answer has at most {LONGEST_TEXT} characters"));
        }
        match self.category {
            Category::MultipleChoice => {
                let said = answer.as_str().map_or_else(|| answer.to_string(), |text| text.trim().to_owned());
                let same = |option: &&String| option.as_str() == said;
                let alike = |option: &&String| option.eq_ignore_ascii_case(&said);
                let chosen = self.options.iter().find(same).or_else(|| self.options.iter().find(alike));
                let wanted = || format!("the answer is one of: {}", self.options.join(", "));
                chosen.map(|option| Value::from(option.as_str())).ok_or_else(wanted)
            }
            Category::UserVerification | Category::Action => match answer {
                Value::Bool(_) => Ok(answer.clone()),
                Value::String(word) if ["yes", "y", "true"].contains(&word.trim().to_lowercase().as_str()) => {
                    Ok(true.into())
                }
                Value::String(word) if ["no", "n", "false"].contains(&word.trim().to_lowercase().as_str()) => {
                    Ok(false.into())
                }
                _ => Err("the answer is yes or no".to_owned()),
            },
            Category::Input => match answer {
                Value::String(text) => Ok(Value::from(text.trim())),
                Value::Number(_) | Value::Bool(_) => Ok(Value::from(answer.to_string())),
                _ => Err("the answer is a text".to_owned()),
            },
            Category::ValueConfirmation | Category::Custom => Ok(answer.clone()),
        }
    }
}

/// A question as the store keeps it and the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clarification {
    /// Its id.
    #[serde(rename = "clarification_id")]
    pub id: ClarificationId,
    /// The execution that waits.
    pub execution_id: ExecutionId,
    /// Whose it is.
    pub agent: AgentId,
    /// The workflow.
    pub trace_id: TraceId,
    /// The topic of the event that the execution handles.
    pub event_type: String,
    /// The attempt that asks.
    pub attempt: u32,
    /// Its step that asks: the answer settles it.
    pub seq: u32,
    /// Why it is asked.
    pub purpose: Purpose,
    /// What is asked.
    #[serde(flatten)]
    pub question: Question,
    /// How far it is.
    pub status: ClarificationStatus,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it is too late to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// Who gave it, as the door knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
    /// Where the person is with whom the agent talks: the question is shown there. A capability, so that no API shows it.
    #[serde(skip)]
    pub reply_to: Option<ReplyTo>,
    /// The messages in which it is shown, which are to show its end, too.
    #[serde(skip)]
    pub cards: Vec<Card>,
}

/// A message in which a question stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The channel.
    pub channel_id: String,
    /// The message.
    pub ts: String,
}

/// So many messages are remembered of one question.
pub const MOST_CARDS: usize = 5;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(category: Category) -> Question {
        Question { category, options: vec!["Ship it".into(), "Wait".into()], ..Question::input("?") }
    }

    #[test]
    fn an_answer_is_read_as_its_question_wants_it() {
        let read = |category, answer| asked(category).read(&answer);
        assert_eq!(read(Category::MultipleChoice, json!(" ship IT ")), Ok(json!("Ship it")));
        let numbers = Question::choice("?", ["41", "a", "A"]);
        assert_eq!((numbers.read(&json!(41)), numbers.read(&json!("A"))), (Ok(json!("41")), Ok(json!("A"))));
        assert_eq!(read(Category::UserVerification, json!("No")), Ok(json!(false)));
        assert_eq!(read(Category::UserVerification, json!(true)), Ok(json!(true)));
        assert_eq!(read(Category::Input, json!(" 42 ")), Ok(json!("42")));
        assert_eq!(read(Category::Input, json!(42)), Ok(json!("42")));
        assert_eq!(read(Category::Custom, json!({ "a": [1] })), Ok(json!({ "a": [1] })));
    }

    #[test]
    fn only_approvers_may_answer_and_others_too_when_they_have_not() {
        let open = Question::input("?");
        assert!(open.may_be_answered_by("anybody") && open.escalated().is_none());
        let escalation = Some(Escalation { to: vec!["boss".into()], within_s: 60 });
        let asked = Question { approvers: vec!["Ann".into()], escalation, ..open };
        let may = |question: &Question| ["ann", "boss", "eve"].map(|who| question.may_be_answered_by(who));
        assert_eq!(may(&asked), [true, false, false]);
        let later = asked.escalated().unwrap();
        assert_eq!((may(&later), later.expires_in_s, later.escalated), ([true, true, false], Some(60), true));
        assert!(later.escalated().is_none(), "once");
    }

    #[test]
    fn what_is_no_answer_is_refused_with_what_is_wanted() {
        for category in Category::ALL {
            assert!(asked(*category).read(&json!(null)).is_err());
            assert!(asked(*category).read(&json!("  ")).is_err());
            assert!(asked(*category).read(&json!("x".repeat(LONGEST_TEXT + 1))).is_err());
        }
        assert_eq!(
            asked(Category::MultipleChoice).read(&json!("both")),
            Err("the answer is one of: Ship it, Wait".into())
        );
        assert!(asked(Category::UserVerification).read(&json!("perhaps")).is_err());
        assert!(asked(Category::Input).read(&json!(["a"])).is_err());
    }
}

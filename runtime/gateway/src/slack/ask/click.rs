//! What a click on a question's message says.

use greenroom_contract::{
    ClarificationId,
    clarification::{Card, Clarification},
    event::SlackUser,
};
use serde_json::Value;

use super::card::{ACTION, FIELD};
use crate::slack::draft::{at, first};

/// A click that answers.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Click {
    /// The question; `None` if the button carries no id.
    pub(crate) question: Option<ClarificationId>,
    said: Said,
    /// Who clicked.
    pub(crate) who: SlackUser,
    /// The workspace in which it happened.
    pub(crate) team: Option<String>,
    /// The message.
    pub(crate) card: Option<Card>,
    /// Where the one who clicked is told something. A capability.
    pub(crate) response_url: Option<String>,
}

impl std::fmt::Debug for Click {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Click").field("question", &self.question).field("who", &self.who).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Option(usize),
    YesOrNo(bool),
    Text(String),
    /// A button of a kind that this version does not make.
    Nothing,
}

/// Whether an action is an answer to a question of ours.
pub(crate) fn is_ours(action_id: &str) -> bool {
    action_id.strip_prefix(ACTION).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Click {
    /// Reads the first answer of a `block_actions` payload; `None` if there is none, or nobody who gave it.
    pub(crate) fn read(payload: &Value) -> Option<Self> {
        let actions = payload.get("actions")?.as_array()?;
        let action = actions.iter().find(|action| at(action, "/action_id").is_some_and(is_ours))?;
        let value = first(action, &["/value", "/selected_option/value"]).unwrap_or_default();
        let (id, word) = value.split_once(':').unwrap_or((value, ""));
        let team = first(payload, &["/team/id", "/enterprise/id", "/user/team_id"]);
        let who = SlackUser {
            team_id: first(payload, &["/user/team_id", "/team/id", "/enterprise/id"])?.to_owned(),
            user_id: at(payload, "/user/id")?.to_owned(),
        };
        let channel = first(payload, &["/channel/id", "/container/channel_id"]);
        let ts = first(payload, &["/container/message_ts", "/message/ts"]);
        let card = channel.zip(ts).map(|(channel, ts)| Card { channel_id: channel.to_owned(), ts: ts.to_owned() });
        Some(Self {
            question: id.parse().ok(),
            said: match word {
                "yes" => Said::YesOrNo(true),
                "no" => Said::YesOrNo(false),
                "text" => Said::Text(typed(payload)),
                number => number.parse().map_or(Said::Nothing, Said::Option),
            },
            who,
            team: team.map(str::to_owned),
            // What Slack shows to one person only cannot be changed later.
            card: card.filter(|_| payload.pointer("/container/is_ephemeral") != Some(&Value::Bool(true))),
            response_url: first(payload, &["/response_url", "/response_urls/0/response_url"]).map(str::to_owned),
        })
    }

    /// The answer that it stands for; `None` if the question has no such answer.
    pub(super) fn answer(&self, asked: &Clarification) -> Option<Value> {
        match &self.said {
            Said::Option(number) => asked.question.options.get(*number).map(|option| Value::from(option.as_str())),
            Said::YesOrNo(yes) => Some(Value::from(*yes)),
            Said::Text(text) => Some(Value::from(text.as_str())),
            Said::Nothing => None,
        }
    }
}

/// What stands in the field for a text.
fn typed(payload: &Value) -> String {
    let blocks = payload.pointer("/state/values").and_then(Value::as_object);
    let fields = blocks.into_iter().flat_map(|blocks| blocks.values());
    let text = fields.filter_map(|fields| fields.get(FIELD)?.get("value")?.as_str()).next();
    text.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use greenroom_contract::clarification::Question;
    use serde_json::json;

    use super::*;
    use crate::testing::{question, question_id};

    fn click(action: Value) -> Option<Click> {
        Click::read(&json!({
            "type": "block_actions", "user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T1"},
            "channel": {"id": "C1"}, "container": {"message_ts": "17.1"}, "response_url": "https://canary",
            "state": {"values": {"b1": {FIELD: {"type": "plain_text_input", "value": "because"}}}},
            "actions": [{"action_id": "other", "value": "x"}, action],
        }))
    }

    #[test]
    fn a_click_says_which_answer_of_which_question() {
        let id = question_id();
        let asked = Clarification { question: Question::choice("?", ["a", "b"]), ..question(id) };
        for (value, says) in [
            (format!("{id}:1"), Some(json!("b"))),
            (format!("{id}:2"), None),
            (format!("{id}:-1"), None),
            (format!("{id}:yes"), Some(json!(true))),
            (format!("{id}:no"), Some(json!(false))),
            (format!("{id}:text"), Some(json!("because"))),
            (format!("{id}:"), None),
            (format!("{id}"), None),
        ] {
            let click = click(json!({"action_id": "greenroom.answer.1", "value": value})).unwrap();
            assert_eq!((click.question, click.answer(&asked)), (Some(id), says), "{value}");
            assert!(!format!("{click:?}").contains("canary"));
        }
        let chosen = json!({"action_id": "greenroom.answer", "selected_option": {"value": format!("{id}:0")}});
        assert_eq!(click(chosen).unwrap().answer(&asked), Some(json!("a")));
        for bad in ["", "x:1", "1"] {
            let click = click(json!({"action_id": "greenroom.answer", "value": bad})).unwrap();
            assert_eq!(click.question, None, "{bad}");
        }
    }

    #[test]
    fn others_actions_are_not_ours_and_nobody_is_no_one() {
        for ours in ["greenroom.answer", "greenroom.answer.yes"] {
            assert!(is_ours(ours));
        }
        for not in ["greenroom.answers", "approve", "", "greenroom.text"] {
            assert!(!is_ours(not), "{not}");
            assert_eq!(click(json!({"action_id": not, "value": "x"})), None);
        }
        let nobody = json!({"actions": [{"action_id": "greenroom.answer", "value": "x"}], "user": {"id": "U1"}});
        assert_eq!(Click::read(&nobody), None, "without a workspace an id is no identity");
    }
}

//! Who may do what. A signature says that Slack sent a request, and nothing of the person behind it.

use greenroom_config::{DirectMessages, People};
use greenroom_contract::event::SlackUser;

/// The rules of Slack's door.
#[derive(Debug, Clone)]
pub struct SlackRules {
    /// Who may wake agents.
    pub users: People,
    /// Who may answer their questions.
    pub approvers: People,
    /// Bots that are heard, by their ids or their apps'.
    pub bots: Vec<String>,
    /// What in a direct message is one conversation.
    pub direct_messages: DirectMessages,
}

impl Default for SlackRules {
    fn default() -> Self {
        Self {
            users: People::anyone(),
            approvers: People::asker(),
            bots: Vec::new(),
            direct_messages: DirectMessages::default(),
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act<'a> {
    /// Wake an agent: by a command, a message, a click, a form.
    Wake,
    /// Answer a question of an agent that somebody had asked something.
    Answer { asker: Option<&'a SlackUser> },
}

impl SlackRules {
    /// The one place where it is decided, for commands, messages and clicks alike. `home` is the workspace in which it
    /// happens. Who is not known may what anyone may.
    pub(crate) fn allow(&self, who: Option<&SlackUser>, home: Option<&str>, act: Act<'_>) -> bool {
        let (people, asker) = match act {
            Act::Wake => (&self.users, None),
            Act::Answer { asker } => (&self.approvers, asker),
        };
        match who {
            Some(who) => people.has(who, home, asker),
            None => *people == People::anyone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_may_what_anyone_may_and_nothing_else() {
        let rules = |users: &str| SlackRules { users: users.parse().unwrap(), ..SlackRules::default() };
        assert!(rules("anyone").allow(None, Some("T1"), Act::Wake));
        assert!(!rules("workspace").allow(None, Some("T1"), Act::Wake));
        assert!(!SlackRules::default().allow(None, Some("T1"), Act::Answer { asker: None }));
    }

    #[test]
    fn a_question_is_for_the_one_who_asked_unless_others_are_named() {
        let user = |user: &str| SlackUser { team_id: "T1".into(), user_id: user.into() };
        let (asker, other) = (user("U1"), user("U2"));
        let act = Act::Answer { asker: Some(&asker) };
        let rules = SlackRules::default();
        assert!(rules.allow(Some(&asker), Some("T1"), act) && !rules.allow(Some(&other), Some("T1"), act));
        let named = SlackRules { approvers: "U2".parse().unwrap(), ..SlackRules::default() };
        assert!(named.allow(Some(&other), Some("T1"), act) && !named.allow(Some(&asker), Some("T1"), act));
        assert!(!named.allow(Some(&other), Some("T2"), act), "the same id in another workspace is somebody else");
    }
}

//! What a node is told of Slack.

use std::{collections::BTreeMap, str::FromStr};

use greenroom_contract::event::SlackUser;
use secrecy::SecretString;

/// Slack.
#[derive(Debug, Clone)]
pub struct Slack {
    /// By which requests are verified; without it the door is closed.
    pub signing_secret: Option<SecretString>,
    /// The one before it, which is good as well while a change is under way.
    pub signing_secret_old: Option<SecretString>,
    /// With which the Web API is called where no token of a workspace's own is known.
    pub bot_token: Option<SecretString>,
    /// Each workspace's own.
    pub bot_tokens: BTreeMap<String, SecretString>,
    /// With which the node opens connections to Slack, by which requests come (Socket Mode).
    pub app_token: Option<SecretString>,
    /// The base of the Web API, without a slash at its end.
    pub api_url: String,
    /// The hosts that answers may be posted to, each perhaps with a port; one with a port may be plain `http`.
    pub response_hosts: Vec<String>,
    /// Who may wake agents.
    pub users: People,
    /// Who may answer an agent's questions.
    pub approvers: People,
    /// Bots that are heard: their ids (`B…`) or their apps' (`A…`).
    pub bots: Vec<String>,
    /// What in a direct message is one conversation.
    pub direct_messages: DirectMessages,
}

/// A list of people of Slack's: words and ids, with commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    anyone: bool,
    workspace: bool,
    asker: bool,
    named: Vec<Named>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    /// Absent: the workspace in which it happens.
    team: Option<String>,
    user: String,
}

impl People {
    /// Everybody whom Slack lets in, guests from other workspaces included.
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::default() }
    }

    /// Only the person who asked.
    pub fn asker() -> Self {
        Self { asker: true, ..Self::default() }
    }

    /// Whether `who` is on the list. `home` is the workspace in which it happens, `asker` who asked, where somebody did.
    pub fn has(&self, who: &SlackUser, home: Option<&str>, asker: Option<&SlackUser>) -> bool {
        let at_home = home == Some(who.team_id.as_str());
        let named = |named: &Named| {
            named.user == who.user_id && named.team.as_ref().map_or(at_home, |team| *team == who.team_id)
        };
        self.anyone || (self.workspace && at_home) || (self.asker && asker == Some(who)) || self.named.iter().any(named)
    }

    /// Those who are named by id, as Slack shows a mention of each.
    pub fn mentions(&self) -> Vec<String> {
        self.named.iter().map(|named| format!("<@{}>", named.user)).collect()
    }

    /// Whether the person who asked is on the list.
    pub fn has_asker(&self) -> bool {
        self.asker
    }
}

impl FromStr for People {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut people = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "anyone" => people.anyone = true,
                "workspace" => people.workspace = true,
                "asker" => people.asker = true,
                id => {
                    let (team, user) = match id.split_once(':') {
                        Some((team, user)) => (Some(team), user),
                        None => (None, id),
                    };
                    let is_user = is_id(user, &['U', 'W']);
                    if !is_user || team.is_some_and(|team| !is_id(team, &['T', 'E'])) {
                        return Err(format!(
                            "{id:?} is none of anyone, workspace, asker, a user's id (U…), or a workspace's and a user's (T…:U…)"
                        ));
                    }
                    people.named.push(Named { team: team.map(str::to_owned), user: user.to_owned() });
                }
            }
        }
        Ok(people)
    }
}

/// Whether this is an id of Slack's that begins with one of these letters.
pub(super) fn is_id(text: &str, first: &[char]) -> bool {
    text.starts_with(first) && text.len() > 1 && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// What in a direct message is one conversation of a continuous agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirectMessages {
    /// A thread where somebody opened one, else all of it.
    #[default]
    Thread,
    /// All of it, threads too.
    Whole,
    /// Each message for itself, with the thread that it begins.
    Message,
}

impl FromStr for DirectMessages {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "thread" => Ok(Self::Thread),
            "whole" => Ok(Self::Whole),
            "message" => Ok(Self::Message),
            _ => Err(format!("{text:?} is none of thread, whole, message")),
        }
    }
}

/// Reads `T1=token,T2=token`. The error names no token.
pub(super) fn tokens(text: &str) -> Result<BTreeMap<String, SecretString>, String> {
    let mut tokens = BTreeMap::new();
    let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    for (number, entry) in (1..).zip(entries) {
        let (team, token) = entry.split_once('=').unwrap_or(("", ""));
        let (team, token) = (team.trim(), token.trim());
        if !is_id(team, &['T', 'E']) || token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("entry {number} is not a workspace and its token, as in T0123=xoxb-…,T0456=xoxb-…"));
        }
        if tokens.insert(team.to_owned(), SecretString::from(token)).is_some() {
            return Err(format!("has two tokens for the workspace {team}"));
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn user(team: &str, user: &str) -> SlackUser {
        SlackUser { team_id: team.into(), user_id: user.into() }
    }

    #[test]
    fn people_are_told_apart_by_workspace_and_id() {
        let asker = user("T1", "U1");
        let has = |list: &str, who: &SlackUser| list.parse::<People>().unwrap().has(who, Some("T1"), Some(&asker));
        for (list, yes, no) in [
            ("anyone", vec![user("T9", "U9")], vec![]),
            ("workspace", vec![user("T1", "U2")], vec![user("T2", "U1")]),
            ("asker", vec![asker.clone()], vec![user("T2", "U1"), user("T1", "U2")]),
            ("U2", vec![user("T1", "U2")], vec![user("T2", "U2"), asker.clone()]),
            ("asker, T2:U2", vec![asker.clone(), user("T2", "U2")], vec![user("T1", "U2")]),
            ("", vec![], vec![asker.clone()]),
        ] {
            for who in yes {
                assert!(has(list, &who), "{list:?} shuts {who} out");
            }
            for who in no {
                assert!(!has(list, &who), "{list:?} lets {who} in");
            }
        }
        assert!(!People::asker().has(&user("T1", "U1"), Some("T1"), None), "nobody asked");
        assert!(!"workspace".parse::<People>().unwrap().has(&user("T1", "U1"), None, None));
        for bad in ["ada", "u1", "T1", "T1:ada", "X1:U1", "U1 U2", "@ada"] {
            assert!(bad.parse::<People>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn tokens_are_read_by_workspace_and_never_told() {
        let read = tokens("T1=xoxb-1, T2 = xoxb-2\nE3=xoxb-3").unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["E3", "T1", "T2"]);
        assert_eq!(read["T2"].expose_secret(), "xoxb-2");
        for bad in ["xoxb-canary", "T1=", "T1=xoxb-canary,T1=xoxb-canary", "t1=xoxb-canary", "T1=two canary"] {
            let error = tokens(bad).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}

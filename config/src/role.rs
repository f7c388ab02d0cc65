//! What a node does: its roles.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::spec::Mode;

/// One thing that a node does beside what every node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Declares every agent's queue ahead, collects what died on the bus.
    Orchestrator,
    /// Lets schedules fire.
    Scheduler,
    /// Answers Slack.
    Gateway,
    /// Runs autonomous and scheduled agents.
    Autonomous,
    /// Runs collaborative agents.
    Collaborative,
    /// Runs continuous agents.
    Continuous,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Orchestrator, Self::Scheduler, Self::Gateway, Self::Autonomous, Self::Collaborative, Self::Continuous];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Scheduler => "scheduler",
            Self::Gateway => "gateway",
            Self::Autonomous => "autonomous",
            Self::Collaborative => "collaborative",
            Self::Continuous => "continuous",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A node's roles; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Everything.
    pub fn all() -> Self {
        Self(Role::ALL.into())
    }

    /// Whether a node with these roles does everything, so that it can be alone.
    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// Whether this is one of them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether agents of this mode run here.
    pub fn runs(&self, mode: Mode) -> bool {
        self.has(role_of(mode))
    }

    /// Their words.
    pub fn words(&self) -> Vec<String> {
        self.0.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

impl Default for Roles {
    fn default() -> Self {
        Self::all()
    }
}

/// The role whose nodes run agents of this mode.
pub fn role_of(mode: Mode) -> Role {
    match mode {
        Mode::Autonomous | Mode::Scheduled => Role::Autonomous,
        Mode::Collaborative => Role::Collaborative,
        Mode::Continuous => Role::Continuous,
    }
}

/// A text that does not name roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no role; write one or more of {}, with commas", Role::ALL.map(Role::as_str).join(", "))]
pub struct UnknownRole {
    word: String,
}

impl FromStr for Roles {
    type Err = UnknownRole;

    /// Reads words with commas, or `all`.
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let mut roles = BTreeSet::new();
        for word in words {
            match Role::ALL.into_iter().find(|role| role.as_str() == word) {
                Some(role) => drop(roles.insert(role)),
                None if word == "all" => roles.extend(Role::ALL),
                None => return Err(UnknownRole { word: word.to_owned() }),
            }
        }
        if roles.is_empty() { Err(UnknownRole { word: text.to_owned() }) } else { Ok(Self(roles)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_with_commas() {
        let roles: Roles = "gateway, autonomous,gateway".parse().unwrap();
        assert_eq!(roles.words(), ["gateway", "autonomous"]);
        assert!(roles.runs(Mode::Scheduled) && !roles.runs(Mode::Continuous) && !roles.is_all());
        assert!("all".parse::<Roles>().unwrap().is_all());
        let error = "gateway,worker".parse::<Roles>().unwrap_err().to_string();
        assert!(error.starts_with("\"worker\" is no role") && error.contains("collaborative"), "{error}");
        assert!(" , ".parse::<Roles>().is_err());
    }
}

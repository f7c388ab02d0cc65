//! When the node dies.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use greenroom_config::Environment;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The variable that names the file.
const FILE: &str = "GREENROOM_CRASH_FILE";

/// What a node does that it may die before or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// A door takes work in (`State::submit`), about its topic.
    Door,
    /// The bus gets a batch (`Bus::publish`), about the topics.
    Publish,
    /// The relay writes down what became of rows (`State::settle_outbox`), about the outcomes.
    Mark,
    /// A schedule fires (`Schedules::fire`), about the agent.
    Fire,
    /// A delivery becomes an execution (`State::accept`), about the agent.
    Inbox,
    /// A delivery is taken off its queue (`Delivery::accept`), about the queue.
    Acknowledge,
    /// An agent looks for due work (`State::claim`), about the agent; after it counts only what found some.
    Claim,
    /// A call's intention is written (`State::journal`), about the kind and name of the call.
    Intend,
    /// A call is made, about its kind and name.
    Call,
    /// A call's result is written (`State::journal`, `State::finish`), about its position: `seq 1`.
    Settle,
    /// An attempt's end is written (`State::finish`), about how it ended.
    Commit,
    /// A person's answer is written (`Clarifications::decide`), about the question.
    Answer,
    /// It is written down where a question is shown (`Clarifications::note_card`), about the question.
    Card,
    /// A person is answered (`Replies::send`), about the kind of the address.
    Reply,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Publish => "publish",
            Self::Mark => "mark",
            Self::Fire => "fire",
            Self::Inbox => "inbox",
            Self::Acknowledge => "acknowledge",
            Self::Claim => "claim",
            Self::Intend => "intend",
            Self::Call => "call",
            Self::Settle => "settle",
            Self::Commit => "commit",
            Self::Answer => "answer",
            Self::Card => "card",
            Self::Reply => "reply",
        }
    }
}

/// The file, and how often what it says has happened.
pub(super) struct Trigger {
    file: PathBuf,
    armed: Mutex<Armed>,
}

#[derive(Default)]
struct Armed {
    line: String,
    times: u32,
}

impl Trigger {
    /// The trigger that the environment asks for.
    pub(super) fn from_env(env: &Environment) -> Option<Arc<Self>> {
        let file = env.text(FILE).ok().flatten()?;
        Some(Arc::new(Self { file: file.into(), armed: Mutex::default() }))
    }

    /// Passes the place before a deed.
    pub(super) fn before(&self, deed: Deed, about: &str) {
        self.pass("before", deed, about);
    }

    /// Passes the place after a deed that was done.
    pub(super) fn after(&self, deed: Deed, about: &str) {
        self.pass("after", deed, about);
    }

    fn pass(&self, when: &str, deed: Deed, about: &str) {
        let Ok(text) = std::fs::read_to_string(&self.file) else { return };
        let line = text.trim();
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.line != line {
            *armed = Armed { line: line.to_owned(), times: 0 };
        }
        if let Some(wanted) = wanted(line, when, deed, about) {
            armed.times += 1;
            if armed.times == wanted {
                die();
            }
        }
    }
}

/// The how-manieth time is meant, if the line is about this place: `WHEN DEED NUMBER ABOUT`, where the last may be a part.
fn wanted(line: &str, when: &str, deed: Deed, about: &str) -> Option<u32> {
    let mut words = line.splitn(4, ' ');
    let here = words.next() == Some(when) && words.next() == Some(deed.word());
    let number = words.next()?.parse().ok()?;
    (here && about.contains(words.next().unwrap_or_default())).then_some(number)
}

fn die() -> ! {
    // It cannot be caught and is not refused to a process that sends it to itself.
    kill(Pid::this(), Signal::SIGKILL).ok();
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_one_place() {
        let at = |line, when, about| wanted(line, when, Deed::Intend, about);
        assert_eq!(at("before intend 2 tool charge", "before", "tool charge"), Some(2));
        assert_eq!(at("before intend 2 charge", "before", "tool charge"), Some(2));
        assert_eq!(at("before intend 1", "before", "llm openai/x"), Some(1));
        assert_eq!(at("before intend 1 tool", "after", "tool charge"), None);
        assert_eq!(at("before intend 1 tool", "before", "llm openai/x"), None);
        assert_eq!(at("before settle 1", "before", ""), None);
        assert_eq!(at("", "before", ""), None);
        assert_eq!(at("before intend twice", "before", ""), None);
    }
}

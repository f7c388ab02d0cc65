//! What a coordinator learns, round by round, in an order that a restart does not change.
//!
//! Calls and questions end in any order, and over a replayed journal several have ended that had not when the coordinator first
//! came by. So what it takes in is noted: each round's note says which of what is open it sees as ended, and when. Over the journal
//! the notes are read again, and everything is learned in the rounds in which it was learned first.

use std::collections::BTreeMap;

use greenroom_contract::call::CallResult;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{prompts, runner::Event};
use crate::execution::{Context, Trouble};

/// What a step waits for, with its end if that is known.
pub(super) enum Open {
    Call(Option<CallResult>),
    Question(Option<Value>),
}

impl Open {
    fn has_ended(&self) -> bool {
        match self {
            Self::Call(result) => result.is_some(),
            Self::Question(answer) => answer.is_some(),
        }
    }

    fn event(self, step: usize) -> Option<Event> {
        match self {
            Self::Call(result) => Some(Event::Ended { step, result: result? }),
            Self::Question(answer) => Some(Event::Decided { step, choice: prompts::read_choice(&answer?) }),
        }
    }
}

/// A round's note.
#[derive(Serialize, Deserialize)]
struct Seen {
    at: Timestamp,
    steps: Vec<usize>,
}

/// What is open, by step.
#[derive(Default)]
pub(super) struct Rounds {
    open: BTreeMap<usize, Open>,
}

impl Rounds {
    /// A step waits for something.
    pub(super) fn open(&mut self, step: usize, what: Open) {
        self.open.insert(step, what);
    }

    /// What the next round brings, and when; `None` while nothing has ended.
    pub(super) async fn next(&mut self, context: &mut Context) -> Result<Option<(Timestamp, Vec<Event>)>, Trouble> {
        let steps: Vec<usize> = self.open.iter().filter(|(_, open)| open.has_ended()).map(|(step, _)| *step).collect();
        let seen = Seen { at: context.now(), steps };
        let seen = if seen.steps.is_empty() { None } else { serde_json::to_value(seen).ok() };
        let Some(noted) = context.note("round", seen).await? else { return Ok(None) };
        let Seen { at, steps } = serde_json::from_value(noted)
            .map_err(|why| Trouble::lasting("journal_unreadable", format!("a journaled note cannot be read: {why}")))?;
        let mut events = Vec::with_capacity(steps.len());
        for step in steps {
            let ended = self.open.remove(&step).and_then(|open| open.event(step));
            let lost = || Trouble::lasting("journal_mismatch", format!("the end of step {} is not there", step + 1));
            events.push(ended.ok_or_else(lost)?);
        }
        Ok(Some((at, events)))
    }
}

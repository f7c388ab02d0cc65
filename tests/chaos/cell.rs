//! One place at which a node is killed: before or after a deed, while a subject is at work.

use std::ops::RangeInclusive;

use greenroom_contract::execution::Effect;

use super::cast::{CLERK, LISTENER, SAID};

/// What is at work when the node is killed. Each is one agent and one run of it: a model call, a call of a tool (or the
/// sending of an event), a model call, an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The first call of a model, which runs beside the commit of its intention.
    FirstModelCall,
    /// A later one.
    LaterModelCall,
    /// A call of a tool with this effect.
    Tool(Effect),
    /// An event that the agent sends, up to its receiver.
    OutgoingEvent,
    /// An answer to a person.
    Reply,
    /// A tool call of an agent that keeps its conversation.
    Continuous,
}

/// A place in the way of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The relay publishes.
    Publish,
    /// The relay writes down that it has published.
    Mark,
    /// The inbox takes the delivery in.
    Inbox,
    /// The delivery is taken off its queue.
    Acknowledge,
    /// The execution is claimed.
    Claim,
    /// The intention of a call is written.
    Intend,
    /// The call itself; for a reply, its sending.
    Call,
    /// The call's result is written.
    Settle,
    /// The end of the execution is written.
    Commit,
}

/// On which side of the deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It has not begun.
    Before,
    /// It is done, and nothing after it.
    After,
}

/// A cell of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What is at work.
    pub subject: Subject,
    /// Where.
    pub deed: Deed,
    /// On which side.
    pub when: When,
}

/// What a kill makes happen again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// No call.
    Nothing,
    /// The call of this step: it had been made, and its result was not written.
    Call(u32),
    /// The call of this step, if it was under way.
    PerhapsCall(u32),
    /// The one call that was under way, if there was one: the deed is done beside the execution.
    PerhapsOne,
}

const DEEDS: [Deed; 9] = [
    Deed::Publish,
    Deed::Mark,
    Deed::Inbox,
    Deed::Acknowledge,
    Deed::Claim,
    Deed::Intend,
    Deed::Call,
    Deed::Settle,
    Deed::Commit,
];

impl Subject {
    /// Every cell of the subject.
    pub fn cells(self) -> Vec<Cell> {
        // A reply is no step: its intention is the commit, and its result the relay's mark.
        let has = |deed: &Deed| self != Self::Reply || !matches!(deed, Deed::Intend | Deed::Settle);
        let sides = |deed| [When::Before, When::After].map(|when| Cell { subject: self, deed, when });
        DEEDS.into_iter().filter(has).flat_map(sides).collect()
    }

    /// The effect of the tool in the agent's run.
    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Tool(effect) => effect,
            Self::Continuous => Effect::Keyed,
            _ => Effect::None,
        }
    }

    /// The position of the step that the subject is.
    fn step(self) -> u32 {
        match self {
            Self::FirstModelCall => 0,
            Self::LaterModelCall => 2,
            _ => 1,
        }
    }

    /// Whether this deed stands at the beginning of the run that the subject is about, and not after its end.
    fn begins_with_this(self, deed: Deed) -> bool {
        match self {
            Self::OutgoingEvent => false,
            Self::Reply => deed == Deed::Acknowledge,
            _ => true,
        }
    }

    /// The step in the words of the crash points: how many of this kind are passed, and its kind and name.
    fn call(self) -> &'static str {
        match self {
            Self::FirstModelCall => "1 llm openai-compatible",
            Self::LaterModelCall => "2 llm openai-compatible",
            Self::OutgoingEvent => "1 tool emit_event",
            _ => "1 tool charge",
        }
    }
}

impl Cell {
    /// The lines for `GREENROOM_CRASH_FILE`, one for each kill. A claim that takes an execution up again needs one that
    /// was interrupted, so that it takes two.
    pub(super) fn kills(self) -> Vec<String> {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        let subject = self.subject;
        let receiver = if subject == Subject::OutgoingEvent { LISTENER } else { CLERK };
        let place = match self.deed {
            Deed::Publish => match subject {
                Subject::OutgoingEvent => format!("publish 1 {SAID}"),
                Subject::Reply => format!("publish 1 agent.output.{CLERK}"),
                _ => format!("publish 1 agent.input.{CLERK}"),
            },
            Deed::Mark => match subject {
                Subject::OutgoingEvent => "mark 2 published".to_owned(),
                Subject::Reply => "mark 1 delivered".to_owned(),
                _ => "mark 1 published".to_owned(),
            },
            Deed::Inbox => format!("inbox 1 {receiver}"),
            Deed::Acknowledge => format!("acknowledge 1 agent.input.{receiver}"),
            Deed::Claim => {
                let first = match subject {
                    Subject::OutgoingEvent => Some(format!("after inbox 1 {LISTENER}")),
                    Subject::Continuous => None,
                    Subject::LaterModelCall => Some("before commit 1".to_owned()),
                    _ => Some(format!("after settle 1 seq {}", subject.step())),
                };
                let claim = format!("{when} claim 1 {receiver}");
                return first.into_iter().chain([claim]).collect();
            }
            Deed::Intend => format!("intend {}", subject.call()),
            Deed::Call if subject == Subject::Reply => "reply 1 slack".to_owned(),
            Deed::Call => format!("call {}", subject.call()),
            Deed::Settle => format!("settle 1 seq {}", subject.step()),
            Deed::Commit => "commit 1".to_owned(),
        };
        vec![format!("{when} {place}")]
    }

    /// Which calls are made again.
    pub(super) fn again(self) -> Again {
        let (step, subject) = (self.subject.step(), self.subject);
        match (self.deed, self.when) {
            // The relay and the feeder go on while the execution is at work; after its end they have nothing beside them.
            (Deed::Mark | Deed::Acknowledge, _) | (Deed::Publish, When::After)
                if subject.begins_with_this(self.deed) =>
            {
                Again::PerhapsOne
            }
            // Results are written with the intention of the next call, so that the one before is not written yet.
            (Deed::Intend, When::Before) if step > 0 => Again::Call(step - 1),
            // The first call runs beside the commit of its intention.
            (Deed::Intend, _) | (Deed::Call, When::Before) if step == 0 => Again::PerhapsCall(step),
            (Deed::Call, When::After) if subject == Subject::Reply => Again::Nothing,
            (Deed::Call, When::After) | (Deed::Settle, When::Before) => Again::Call(step),
            (Deed::Commit, When::Before) => Again::Call(2),
            (Deed::Claim, _) if subject == Subject::LaterModelCall => Again::Call(2),
            _ => Again::Nothing,
        }
    }

    /// Whether the call of the subject was under way in the eyes of the journal, and must not be made twice; `None` where
    /// it may have been.
    pub(super) fn is_unknown(self) -> Option<bool> {
        if self.subject.effect() != Effect::AtMostOnce {
            return Some(false);
        }
        match (self.deed, self.when) {
            (Deed::Intend, When::After) | (Deed::Call, _) | (Deed::Settle, When::Before) => Some(true),
            _ if self.again() == Again::PerhapsOne => None,
            _ => Some(false),
        }
    }

    /// How many answers the person gets. One whose confirmation was lost is sent again: Slack has no key to know it by.
    pub(super) fn replies(self) -> RangeInclusive<usize> {
        match (self.subject, self.deed, self.when) {
            (Subject::Reply, Deed::Call, When::After) | (Subject::Reply, Deed::Mark, When::Before) => 2..=2,
            // Replies are sent beside the events.
            (Subject::Reply, Deed::Publish, When::After) => 1..=2,
            (Subject::Reply, ..) => 1..=1,
            _ => 0..=0,
        }
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} × {:?}", self.when, self.deed, self.subject)
    }
}

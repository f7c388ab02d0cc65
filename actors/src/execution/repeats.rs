//! Loops: a model that asks the same of a tool again and again, and hears the same each time.

use std::collections::HashMap;

use greenroom_contract::port::{llm::ToolUse, tool::Answer};

use super::{hash, trouble::Trouble};

/// So many times a call is refused with a word to the model before the attempt is given up.
const WARNINGS: u32 = 3;

/// What an attempt asked of its tools. It depends on the journal alone, so that a resume judges alike.
pub(super) struct Repeats {
    /// So many identical calls with the same answer are made; 0 is any number.
    most: u32,
    seen: HashMap<String, Seen>,
    warnings: u32,
}

struct Seen {
    answer: String,
    times: u32,
}

impl Repeats {
    pub(super) fn new(most: u32) -> Self {
        Self { most, seen: HashMap::new(), warnings: 0 }
    }

    /// The answer to a call that is not made again, because it had the same answer so often; `None` for one that is made.
    /// Fails when the model does not listen.
    pub(super) fn refuse(&mut self, wanted: &ToolUse) -> Result<Option<Answer>, Trouble> {
        let times = self.seen.get(&key(wanted)).map_or(0, |seen| seen.times);
        if self.most == 0 || times < self.most {
            return Ok(None);
        }
        self.warnings += 1;
        tracing::warn!(tool = wanted.name, times, "The model repeats a tool call that had the same answer each time.");
        if self.warnings > WARNINGS {
            let why = format!(
                "the model repeats calls that had the same answer each time and does not stop, at last of {} \
                 (limits.max_repeats is {})",
                wanted.name, self.most
            );
            return Err(Trouble::lasting("looping", why));
        }
        Ok(Some(Answer::error(format!(
            "This call was made {times} times with these arguments and had the same answer each time; it is not made \
             again. Use that answer, try something else, or say what is missing."
        ))))
    }

    /// Notes an answer.
    pub(super) fn note(&mut self, wanted: &ToolUse, answer: &Answer) {
        let heard = hash::of_call(&answer.content, &answer.is_error.into());
        let seen = self.seen.entry(key(wanted)).or_insert_with(|| Seen { answer: heard.clone(), times: 0 });
        if seen.answer == heard {
            seen.times += 1;
        } else {
            *seen = Seen { answer: heard, times: 1 };
        }
    }
}

fn key(wanted: &ToolUse) -> String {
    hash::of_call(&wanted.name, &wanted.input)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(input: u32) -> ToolUse {
        ToolUse { id: "1".to_owned(), name: "look".to_owned(), input: json!({ "at": input }) }
    }

    #[test]
    fn the_same_question_with_the_same_answer_is_stopped() {
        let mut repeats = Repeats::new(3);
        for _ in 0..3 {
            assert!(repeats.refuse(&ask(1)).unwrap().is_none());
            repeats.note(&ask(1), &Answer::text("nothing new"));
        }
        assert!(repeats.refuse(&ask(2)).unwrap().is_none(), "other arguments are another question");
        for _ in 0..3 {
            assert!(repeats.refuse(&ask(1)).unwrap().unwrap().is_error);
        }
        assert!(matches!(repeats.refuse(&ask(1)), Err(Trouble::Failed { lasting: true, .. })));
    }

    #[test]
    fn an_answer_that_changes_is_worth_asking_for() {
        let mut repeats = Repeats::new(2);
        for n in 0..10 {
            assert!(repeats.refuse(&ask(1)).unwrap().is_none());
            repeats.note(&ask(1), &Answer::text(format!("step {n}")));
        }
        let mut free = Repeats::new(0);
        for _ in 0..10 {
            assert!(free.refuse(&ask(1)).unwrap().is_none());
            free.note(&ask(1), &Answer::text("same"));
        }
    }
}

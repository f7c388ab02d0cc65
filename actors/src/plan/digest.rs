//! Long outputs: in prompts a summary stands for one, and a step's agent may read the whole.

use std::collections::BTreeMap;

use greenroom_contract::{
    ExecutionId,
    plan::{StepRun, Values},
};

use super::{asking::ask_model, prompts, runner::Runner};
use crate::execution::{Context, Trouble, as_text};

/// How much of an output one call sums up, in bytes: about 12,000 tokens, which the smallest models take.
const PIECE: usize = 36_000;
/// So many pieces are read at most: of a longer output the first and the last, and the summary is told what is left out.
const MOST_PIECES: usize = 20;
/// So many characters of a summary are kept, however long the model made it.
const LONGEST_SUMMARY: usize = 6_000;

/// The summaries of a run. One is made when an output is first told to somebody: what nobody names costs nothing.
pub(super) struct Digests {
    /// So many characters of an output stand whole in prompts.
    whole_up_to: usize,
    /// By step.
    summaries: BTreeMap<usize, String>,
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A step's agent, which has a tool for the whole.
    Agent,
    /// The coordinator's own model, which has none.
    Model,
}

/// Values as they are told.
pub(super) struct Told {
    pub(super) values: Values,
    /// Where the whole of long ones is, by the name under which it can be read.
    pub(super) whole: BTreeMap<String, ExecutionId>,
}

impl Digests {
    pub(super) fn new(whole_up_to: u32) -> Self {
        Self { whole_up_to: whole_up_to as usize, summaries: BTreeMap::new() }
    }

    /// These values, known before a step, as they are told: of a long output its summary, which the model makes.
    pub(super) async fn tell(
        &mut self,
        context: &mut Context,
        runner: &mut Runner,
        before: usize,
        mut values: Values,
        reader: Reader,
    ) -> Result<Told, Trouble> {
        let mut whole = BTreeMap::new();
        for (name, value) in &mut values {
            let Some(step) = runner.source(before, name) else { continue };
            let text = as_text(value);
            let Some(chars) = self.is_long(&text) else { continue };
            let summary = self.summary(context, runner, step, &text).await?;
            let found = runner.steps()[step].execution_id.filter(|_| reader == Reader::Agent);
            *value = prompts::of_long(found.map(|_| name.to_string()).as_deref(), chars, &summary);
            whole.extend(found.map(|id| (name.to_string(), id)));
        }
        Ok(Told { values, whole })
    }

    /// A step's run as people see it: a long output is not repeated there.
    pub(super) fn shown(&self, step: usize, run: &StepRun) -> StepRun {
        let long = run.output.as_ref().and_then(|output| self.is_long(&as_text(output)));
        match (long, run.execution_id) {
            (Some(chars), Some(_)) => StepRun {
                output: None,
                output_chars: Some(chars as u64),
                summary: self.summaries.get(&step).cloned(),
                ..run.clone()
            },
            _ => run.clone(),
        }
    }

    fn is_long(&self, text: &str) -> Option<usize> {
        // A character is at least a byte: most outputs need no counting.
        if text.len() <= self.whole_up_to {
            return None;
        }
        Some(text.chars().count()).filter(|chars| *chars > self.whole_up_to)
    }

    async fn summary(
        &mut self,
        context: &mut Context,
        runner: &mut Runner,
        step: usize,
        text: &str,
    ) -> Result<String, Trouble> {
        if let Some(summary) = self.summaries.get(&step) {
            return Ok(summary.clone());
        }
        let task = runner.plan().steps[step].task.clone();
        let mut summary = String::new();
        for piece in pieces(text) {
            let request = prompts::of_summary(context.spec(), &task, &summary, &piece);
            summary = prompts::cut(ask_model(context, runner, request).await?.trim(), LONGEST_SUMMARY);
        }
        self.summaries.insert(step, summary.clone());
        Ok(summary)
    }
}

/// The whole of a text in pieces or, of a very long one, its beginning and its end.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(PIECE.min(rest.len()));
        let (piece, after) = rest.split_at(end);
        pieces.push(piece.to_owned());
        rest = after;
    }
    if pieces.len() > MOST_PIECES {
        let left_out = pieces.len() - MOST_PIECES;
        let half = MOST_PIECES / 2;
        let bytes: usize = pieces.drain(half..half + left_out).map(|piece| piece.len()).sum();
        if let Some(first_after) = pieces.get_mut(half) {
            first_after.insert_str(0, &format!("[… {bytes} bytes are left out here …]\n"));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_in_pieces_and_of_a_very_long_one_the_ends() {
        assert_eq!(pieces("short"), ["short"]);
        let long = format!("{}end", "ü".repeat(PIECE));
        let read = pieces(&long);
        assert_eq!((read.len(), read.concat() == long), (3, true), "no character is cut");
        let huge = format!("begin{}end", "x".repeat(PIECE * 50));
        let read = pieces(&huge);
        assert_eq!(read.len(), MOST_PIECES);
        assert!(read[0].starts_with("begin") && read[MOST_PIECES - 1].ends_with("end"));
        assert!(read[MOST_PIECES / 2].starts_with("[… 1116000 bytes are left out here"), "{}", &read[10][..60]);
    }

    #[test]
    fn only_what_is_long_and_kept_elsewhere_is_left_out_for_people() {
        let digests = Digests::new(10);
        let run = |output: &str, id| StepRun { output: Some(output.into()), execution_id: id, ..StepRun::default() };
        let id = Some(ExecutionId::new());
        assert_eq!(digests.shown(0, &run("üüüüüüüüüü", id)).output_chars, None);
        let shown = digests.shown(0, &run("üüüüüüüüüüü", id));
        assert_eq!((shown.output, shown.output_chars), (None, Some(11)));
        assert!(digests.shown(0, &run("of an imported run", None)).output.is_some());
    }
}

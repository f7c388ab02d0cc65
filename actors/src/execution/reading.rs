//! Outputs that are too long for a prompt: whoever is told of one reads the whole, page by page.

use greenroom_contract::{
    call,
    execution::{Effect, StepKind},
    port::{
        llm::ToolUse,
        tool::{Answer, ToolSpec},
    },
    status::StepStatus,
};
use serde_json::{Value, json};

use super::{
    context::{Context, to_json},
    entry::{Ask, Outcome},
    hash,
    persist::persist_under,
    trouble::Trouble,
};

/// The tool that an agent has for outputs of which it was told a summary.
pub(crate) const READ_OUTPUT: &str = "read_output";

/// So many characters are read at a time.
const PAGE: usize = 16_000;

impl Context {
    /// The tool, if there is anything to be read.
    pub(super) fn reading(&self) -> Option<ToolSpec> {
        let names: Vec<String> = call::outputs(&self.claimed.event).into_keys().collect();
        if names.is_empty() {
            return None;
        }
        let input_schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["output"],
            "properties": {
                "output": { "type": "string", "enum": names, "description": "Which output." },
                "from": { "type": "integer", "minimum": 0, "description": "From which character on; 0 if absent." },
            },
        });
        let description =
            format!("Reads an output of which you were told a summary: {PAGE} characters of the whole at a time.");
        Some(ToolSpec { name: READ_OUTPUT.to_owned(), description, input_schema, effect: Effect::None })
    }

    /// Reads a page of an output that this execution was told of; `None` if something else is wanted. Journaled, so that a resume
    /// reads the same although the output may be gone.
    pub(super) async fn read_output(&mut self, wanted: &ToolUse) -> Result<Option<Answer>, Trouble> {
        let outputs = call::outputs(&self.claimed.event);
        if wanted.name != READ_OUTPUT || outputs.is_empty() {
            return Ok(None);
        }
        let ask = Ask {
            kind: StepKind::Tool,
            name: READ_OUTPUT.to_owned(),
            request_hash: hash::of_call(READ_OUTPUT, &wanted.input),
            effect: Effect::None,
        };
        let name = wanted.input["output"].as_str().unwrap_or_default();
        let from = wanted.input["from"].as_u64().unwrap_or_default();
        let (state, pulse) = (&self.ports.state, &self.pulse);
        let read = async {
            let Some(id) = outputs.get(name).copied() else {
                let known = outputs.keys().cloned().collect::<Vec<_>>().join(", ");
                return Answer::error(format!("there is no output {name:?}; there are {known}"));
            };
            match persist_under(Some(pulse), "output", || state.execution(id)).await {
                Ok(Some(execution)) => match execution.output {
                    Some(output) => page(&as_text(&output), usize::try_from(from).unwrap_or(usize::MAX)),
                    None => Answer::error("it has no output any more"),
                },
                Ok(None) => Answer::error("it is kept no longer"),
                Err(error) => Answer::error(format!("it cannot be read: {error}")),
            }
        };
        let outcome = self.journal.step(ask, |_| async { outcome(&read.await) }).await?;
        self.between_calls();
        let answer = serde_json::from_value(outcome.result);
        answer
            .map(Some)
            .map_err(|why| Trouble::lasting("journal_unreadable", format!("a journaled answer cannot be read: {why}")))
    }
}

fn outcome(answer: &Answer) -> Outcome {
    let status = if answer.is_error { StepStatus::Failed } else { StepStatus::Settled };
    Outcome { status, result: to_json(answer), usage: None, cost: None, asks: None }
}

/// A value as a text: texts as they stand, anything else as JSON.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A page, and where it stands.
fn page(text: &str, from: usize) -> Answer {
    let length = text.chars().count();
    if from >= length {
        return Answer::error(format!("it has {length} characters; there is nothing from {from} on"));
    }
    let part: String = text.chars().skip(from).take(PAGE).collect();
    let to = (from + PAGE).min(length);
    let rest = if to < length { format!("; go on with from: {to}") } else { String::new() };
    Answer::text(format!("{part}\n[characters {from} to {to} of {length}{rest}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_read_page_by_page_to_its_end() {
        let text = format!("{}end", "ü".repeat(PAGE));
        let first = page(&text, 0);
        assert!(first.content.starts_with("üü") && first.content.ends_with("of 16003; go on with from: 16000]"));
        assert_eq!(page(&text, PAGE).content, "end\n[characters 16000 to 16003 of 16003]");
        assert!(page(&text, PAGE + 3).is_error && page("", 0).is_error);
    }
}

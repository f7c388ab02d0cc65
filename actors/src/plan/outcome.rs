//! What a step came to: its output, or why there is none. Pure.

use greenroom_contract::{
    MicroUsd, call::CallResult, execution::Failure, form::Form, plan::PlanStep, port::llm::OutputForm,
    status::ExecutionStatus,
};
use serde_json::Value;

/// How often an answer is wanted in all that has to have a form.
pub(super) const FORM_TRIES: u32 = 3;

/// An answer that has not the form that is wanted of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Misformed {
    /// Such answers in a row, this one included.
    pub(super) times: u32,
    /// The answer.
    pub(super) answer: String,
    /// What is wrong with it.
    pub(super) faults: String,
}

impl Misformed {
    /// The same, as a failure.
    pub(super) fn failure(&self) -> Failure {
        let what = format!("{} answers had not the form that is wanted; the last one: {}", self.times, self.faults);
        Failure::new("bad_output", what)
    }
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Broken {
    /// The step failed.
    Failed(Failure),
    /// Its agent is to be told what is wrong with its answer.
    Misformed(Misformed),
}

/// The output of a step that has cost so much, from how its call ended and what was wrong with its last answer, if something was.
pub(super) fn of(
    planned: &PlanStep,
    cost: Option<MicroUsd>,
    result: CallResult,
    before: Option<Misformed>,
) -> Result<Value, Broken> {
    if result.status != ExecutionStatus::Succeeded {
        let why = || Failure::new(result.status.as_str(), "its agent gave no reason");
        return Err(Broken::Failed(result.error.clone().unwrap_or_else(why)));
    }
    let most = planned.max_cost_usd.map(MicroUsd::from_usd);
    if let (Some(cost), Some(most)) = (cost, most)
        && cost > most
    {
        let what = format!("it has cost {cost}, and may cost {most}");
        return Err(Broken::Failed(Failure::new("budget_exhausted", what)));
    }
    let output = result.output.unwrap_or(Value::Null);
    let Some(schema) = &planned.structured_output_schema else { return Ok(output) };
    in_form(schema, output).map_err(|(answer, faults)| {
        let times = before.map_or(0, |before| before.times) + 1;
        let misformed = Misformed { times, answer, faults };
        if times < FORM_TRIES { Broken::Misformed(misformed) } else { Broken::Failed(misformed.failure()) }
    })
}

/// An answer in the form that is wanted of it: what is a text is read as JSON. Fails with the answer and what is wrong with it.
pub(super) fn in_form(schema: &Value, answer: Value) -> Result<Value, (String, String)> {
    let form = OutputForm { name: "output".to_owned(), schema: schema.clone() };
    let form = Form::new(form).map_err(|why| (String::new(), format!("the schema is none: {why}")))?;
    match answer {
        Value::String(text) => match form.read(&text) {
            Ok(value) => Ok(value),
            // A text may be what is wanted.
            Err(misfit) => match form.check(&Value::from(text.as_str())) {
                Ok(()) => Ok(Value::String(text)),
                Err(_) => Err((text, misfit.to_string())),
            },
        },
        other => match form.check(&other) {
            Ok(()) => Ok(other),
            Err(misfit) => Err((other.to_string(), misfit.to_string())),
        },
    }
}

/// A text without the fence that models put round JSON.
pub(super) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|text| text.strip_suffix("```"));
    inner.map_or(text, |inner| inner.strip_prefix("json").unwrap_or(inner).trim())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_read_as_its_schema_wants_it() {
        let number = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"] });
        assert_eq!(in_form(&number, json!("```json\n{\"n\": 3}\n```")), Ok(json!({ "n": 3 })));
        assert_eq!(in_form(&number, json!({ "n": 3 })), Ok(json!({ "n": 3 })));
        let (answer, faults) = in_form(&number, json!("{\"n\": \"three\"}")).unwrap_err();
        assert!(answer.contains("three") && faults.starts_with("/n: "), "{faults}");
        assert!(in_form(&number, json!("three")).unwrap_err().1.contains("no JSON"));
        assert_eq!(in_form(&json!({ "type": "string", "minLength": 2 }), json!("three")), Ok(json!("three")));
        assert_eq!(in_form(&json!({ "type": "integer" }), json!(" 7 ")), Ok(json!(7)));
        assert!(in_form(&json!({ "type": "thing" }), json!(1)).is_err());
    }
}

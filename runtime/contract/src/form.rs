//! A JSON Schema and what it says of an answer: of a model, of an agent in a plan. No document outside of it is ever fetched.

use jsonschema::Validator;
use serde_json::Value;

use crate::port::llm::OutputForm;

/// So many faults are told to the model, each at most this long: the first ones mend the rest, mostly.
const MOST_FAULTS: usize = 10;
const LONGEST_FAULT: usize = 300;

/// A form that answers are checked against.
#[derive(Debug)]
pub struct Form {
    form: OutputForm,
    validator: Validator,
}

/// What is wrong with an answer, one line for each fault, in words that a model understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.join("; "))]
pub struct Misfit {
    /// The faults.
    pub faults: Vec<String>,
}

impl Form {
    /// Makes the form ready. Fails, with the reason, when the schema is none, or refers to another document.
    pub fn new(form: OutputForm) -> Result<Self, String> {
        let validator = jsonschema::validator_for(&form.schema).map_err(|error| error.to_string())?;
        Ok(Self { form, validator })
    }

    /// What was asked for.
    pub fn form(&self) -> &OutputForm {
        &self.form
    }

    /// Reads an answer. Models that cannot be bound to a form put the JSON between words or in a fence, so a text that is
    /// no JSON is looked through for the JSON in it.
    pub fn read(&self, text: &str) -> Result<Value, Misfit> {
        let answer = json_in(text).map_err(|fault| Misfit { faults: vec![fault] })?;
        self.check(&answer)?;
        Ok(answer)
    }

    /// Checks a value.
    pub fn check(&self, answer: &Value) -> Result<(), Misfit> {
        let faults: Vec<String> = self
            .validator
            .iter_errors(answer)
            .take(MOST_FAULTS)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the answer".to_owned() } else { place };
                format!("{place}: {error}").chars().take(LONGEST_FAULT).collect()
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(Misfit { faults }) }
    }
}

fn json_in(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // The outermost of what can hold other things, whichever begins first.
    let between = |open: char, close: char| text.find(open).zip(text.rfind(close)).filter(|(first, last)| first < last);
    let mut within = [between('{', '}'), between('[', ']')];
    within.sort_by_key(|place| place.map_or(usize::MAX, |(first, _)| first));
    let read = |(first, last): (usize, usize)| serde_json::from_str(&text[first..=last]).ok();
    within.into_iter().flatten().find_map(read).ok_or_else(|| format!("the answer is no JSON ({error})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(schema: Value) -> Result<Form, String> {
        Form::new(OutputForm { name: "thing".to_owned(), schema })
    }

    fn count() -> Form {
        form(json!({ "type": "object", "properties": { "count": { "type": "integer" } }, "required": ["count"] }))
            .unwrap()
    }

    #[test]
    fn json_is_found_where_models_put_it() {
        for text in
            ["{\"count\":3}", " {\"count\":3}\n", "```json\n{\"count\":3}\n```", "Here it is: {\"count\":3}. Fine?"]
        {
            assert_eq!(count().read(text).unwrap(), json!({ "count": 3 }), "{text}");
        }
    }

    #[test]
    fn a_list_is_found_too() {
        let list = form(json!({ "type": "array", "items": { "type": "object" } })).unwrap();
        assert_eq!(list.read("```json\n[{\"a\":1}, {}]\n```").unwrap(), json!([{ "a": 1 }, {}]));
        assert!(list.read("{\"a\": [1]}").is_err(), "the list within is not the answer");
    }

    #[test]
    fn a_fault_is_named_with_its_place() {
        let misfit = count().read("{\"count\":\"three\"}").unwrap_err();
        assert!(misfit.faults[0].starts_with("/count: ") && misfit.to_string().contains("integer"), "{misfit}");
        assert!(count().read("{}").unwrap_err().to_string().contains("count"));
        assert!(count().read("three").unwrap_err().to_string().contains("no JSON"));
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["http://127.0.0.1:9/schema.json", "file:///etc/passwd", "https://json-schema.org/x"] {
            let refused = form(json!({ "type": "object", "properties": { "a": { "$ref": reference } } }));
            assert!(refused.is_err(), "{reference}");
        }
        let local = json!({ "type": "object", "$defs": { "a": { "type": "null" } }, "properties": { "a": { "$ref": "#/$defs/a" } } });
        assert!(form(local).is_ok());
        assert!(form(json!({ "type": "thing" })).is_err());
    }
}

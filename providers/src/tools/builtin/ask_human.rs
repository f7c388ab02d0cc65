//! `ask_human`: asks a person, whose answer is the tool's. The execution waits for it and holds nothing meanwhile.

use greenroom_contract::{
    clarification::{LONGEST_TEXT, Question},
    execution::Effect,
    port::tool::{Answer, ToolSpec},
    status::Category,
};
use serde_json::{Value, json};

/// The most options of a question, and the most characters of each: more no card of a chat shows.
const MOST_OPTIONS: usize = 20;
const LONGEST_OPTION: usize = 75;

/// The effect is none: before the answer is there nothing has happened but a question, which is asked once.
pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: "ask_human".to_owned(),
        description: "Asks a person, and returns what they answered. Use it when you lack something that only a person \
                      knows, or may decide. It can take minutes or days; your work goes on with the answer. Give options \
                      where there are few answers, or yes_no for a plain decision."
            .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "question": { "type": "string", "description": "The question, with all that is needed to answer it." },
                "options": {
                    "type": "array", "maxItems": MOST_OPTIONS, "items": { "type": "string", "maxLength": LONGEST_OPTION },
                    "description": "The answers among which to choose."
                },
                "yes_no": { "type": "boolean", "description": "Whether the answer is yes or no." }
            },
            "required": ["question"],
            "additionalProperties": false
        }),
        effect: Effect::None,
    }
}

pub(super) fn call(input: &Value, answer_within_s: Option<u64>) -> Answer {
    let question = input.get("question").and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if question.is_empty() || question.chars().count() > LONGEST_TEXT {
        return Answer::error(format!(
            "ask_human needs a question, which is a text of at most {LONGEST_TEXT} characters"
        ));
    }
    let options: Vec<&str> = match input.get("options") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(options)) if options.iter().all(Value::is_string) => {
            options.iter().filter_map(Value::as_str).map(str::trim).collect()
        }
        Some(_) => return Answer::error("options are a list of texts"),
    };
    let bad = |option: &&str| option.is_empty() || option.chars().count() > LONGEST_OPTION;
    if options.len() > MOST_OPTIONS || options.iter().any(bad) {
        return Answer::error(format!(
            "there are at most {MOST_OPTIONS} options, each a text of at most {LONGEST_OPTION} characters"
        ));
    }
    let yes_no = input.get("yes_no") == Some(&Value::Bool(true));
    let asked = match (options.is_empty(), yes_no) {
        (false, _) => Question::choice(question, options),
        (true, true) => Question { category: Category::UserVerification, ..Question::input(question) },
        (true, false) => Question::input(question),
    };
    Answer::asks(Question { expires_in_s: answer_within_s, ..asked })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_asked_as_the_model_puts_it() {
        let asked = |input| call(&input, Some(60)).asks.unwrap();
        let text = asked(json!({ "question": " Which colour? " }));
        assert_eq!((text.category, text.user_guidance.as_str()), (Category::Input, "Which colour?"));
        assert_eq!(text.expires_in_s, Some(60));
        let choice = asked(json!({ "question": "Which?", "options": ["red", "blue"], "yes_no": false }));
        assert_eq!((choice.category, choice.options), (Category::MultipleChoice, vec!["red".into(), "blue".into()]));
        assert_eq!(asked(json!({ "question": "Ship?", "yes_no": true })).category, Category::UserVerification);
    }

    #[test]
    fn what_nobody_could_answer_is_not_asked() {
        let many: Vec<_> = (0..21).map(|n| n.to_string()).collect();
        for input in [
            json!({}),
            json!({ "question": " " }),
            json!({ "question": 7 }),
            json!({ "question": "x".repeat(LONGEST_TEXT + 1) }),
            json!({ "question": "?", "options": "red" }),
            json!({ "question": "?", "options": [1, 2] }),
            json!({ "question": "?", "options": ["red", ""] }),
            json!({ "question": "?", "options": ["x".repeat(76)] }),
            json!({ "question": "?", "options": many }),
        ] {
            let answer = call(&input, None);
            assert!(answer.is_error && answer.asks.is_none(), "{input} was asked");
        }
    }
}

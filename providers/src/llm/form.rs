//! Asking for a form of the answer in words, where a model has no better way.

use greenroom_contract::port::llm::OutputForm;

/// What is said to the model, at the end of its system prompt.
pub(crate) fn in_words(form: &OutputForm) -> String {
    format!(
        "Answer with one JSON value and nothing else: no words round it, no code fence. It must fit this JSON Schema:\n{}",
        form.schema
    )
}

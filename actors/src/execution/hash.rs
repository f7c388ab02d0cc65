//! The fingerprint of a request: what is compared when a step is replayed.

use greenroom_contract::port::llm::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Of a model call. The tools are left out: a tool server may list them in another order after a restart, which
/// changes nothing about what was asked.
pub(crate) fn of_request(provider: &str, model: &str, request: &Request) -> String {
    let mut asked = json!([provider, model, request.system, request.messages, request.max_tokens]);
    if let (Some(form), Value::Array(asked)) = (&request.output, &mut asked) {
        asked.push(form.schema.clone());
    }
    of(&asked)
}

/// Of a tool call.
pub(crate) fn of_call(name: &str, input: &Value) -> String {
    of(&json!([name, input]))
}

/// Of anything else that is asked.
pub(crate) fn of(value: &Value) -> String {
    // serde_json keeps a map's keys sorted, so equal values have equal texts.
    hex::encode(Sha256::digest(value.to_string()))
}

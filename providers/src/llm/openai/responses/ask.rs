//! One exchange by the Responses API.

use greenroom_contract::port::llm::{Error, Request};

use super::{answer::Reply, request::body};
use crate::llm::{
    estimate,
    generator::Emitter,
    openai::{door::Door, listen::listen, model::Said},
};

/// Asks, hands text on as it comes, and returns what was said.
pub(in crate::llm::openai) async fn ask(door: &Door<'_>, request: &Request, out: &Emitter) -> Result<Said, Error> {
    let json = body(door.options, request);
    let response = door.post("responses", &request.idempotency_key, &json).await?;
    let answer: Reply = listen(door, response, out).await?;
    let (counted, model) = (answer.counted, answer.model.clone());
    let (parts, stop) = answer.finish(door.options, &request.idempotency_key)?;
    let usage = counted.usage(&parts, || estimate::input(request).input);
    Ok(Said { parts, stop, usage, model })
}

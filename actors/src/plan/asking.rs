//! The run's own model calls: tried again where that may help, and counted among what the run costs.

use greenroom_contract::port::llm::Request;

use super::runner::Runner;
use crate::execution::{Context, Trouble};

/// How often a model is asked for the same thing once steps have begun, where trying again may help.
const MODEL_TRIES: u32 = 3;

/// Asks the model; an answer that may come on another try is waited for, because the run has no other attempt.
pub(super) async fn ask_model(context: &mut Context, runner: &mut Runner, request: Request) -> Result<String, Trouble> {
    let mut tries = 1;
    loop {
        // What it may cost depends on what the others have.
        context.others_cost(runner.steps_cost());
        let answer = context.ask(request.clone()).await;
        runner.own_cost(context.own_cost().await?);
        match answer {
            Ok(response) => return Ok(response.text()),
            Err(Trouble::Failed { lasting: false, .. }) if tries < MODEL_TRIES => tries += 1,
            Err(trouble) => return Err(trouble),
        }
    }
}

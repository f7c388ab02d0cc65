//! What a run comes to.

use greenroom_config::spec::{Collaboration, ResultOf};
use greenroom_contract::{
    execution::Failure,
    plan::{Task, fill},
    port::llm::OutputForm,
};
use serde_json::Value;

use super::{
    asking::ask_model,
    digest::{Digests, Reader},
    outcome::{FORM_TRIES, Misformed, in_form},
    prompts,
    runner::Runner,
};
use crate::execution::{Context, Trouble};

/// The result, in its form if one is wanted. A model is told what is wrong with its answer, and asked again; what nobody can mend
/// fails the run.
pub(super) async fn of(
    context: &mut Context,
    settings: &Collaboration,
    task: &Task,
    runner: &mut Runner,
    digests: &mut Digests,
) -> Result<Value, Trouble> {
    let schema = task.structured_output_schema.as_ref().or(settings.structured_output_schema.as_ref()).cloned();
    let made = match (&settings.template, settings.result) {
        (Some(template), _) => Value::from(fill(template, &runner.values())),
        (None, ResultOf::Last) => runner.last_output().cloned().unwrap_or_default(),
        (None, ResultOf::All) => serde_json::to_value(runner.outputs()).unwrap_or_default(),
        (None, ResultOf::Model) => return by_model(context, task, runner, digests, schema).await,
    };
    let Some(schema) = schema else { return Ok(made) };
    in_form(&schema, made).map_err(|(_, faults)| {
        Trouble::lasting("bad_output", format!("the result has not the form that is wanted: {faults}"))
    })
}

async fn by_model(
    context: &mut Context,
    task: &Task,
    runner: &mut Runner,
    digests: &mut Digests,
    schema: Option<Value>,
) -> Result<Value, Trouble> {
    let end = runner.steps().len();
    let known = digests.tell(context, runner, end, runner.values(), Reader::Model).await?.values;
    let own = context.spec().llm_config.output.clone();
    let form = match (schema, own) {
        (Some(schema), _) => Some(OutputForm { name: "result".to_owned(), schema }),
        (None, Some(own)) => Some(OutputForm { name: own.name, schema: own.schema }),
        (None, None) => None,
    };
    let mut before: Option<Misformed> = None;
    loop {
        let request = prompts::of_result(context.spec(), &task.task, &known, form.clone(), before.as_ref());
        let answered = ask_model(context, runner, request).await;
        let (answer, faults) = match (answered, &form) {
            (Ok(answer), None) => return Ok(Value::from(answer)),
            (Ok(answer), Some(form)) => match in_form(&form.schema, Value::from(answer)) {
                Ok(result) => return Ok(result),
                Err(broken) => broken,
            },
            // The provider's layer has asked for it once more already.
            (Err(Trouble::Failed { failure: Failure { code, message }, .. }), Some(_))
                if code == "answer_misformed" =>
            {
                (String::new(), message)
            }
            (Err(trouble), _) => return Err(trouble),
        };
        let misformed = Misformed { times: before.map_or(0, |before| before.times) + 1, answer, faults };
        if misformed.times >= FORM_TRIES {
            return Err(Trouble::Failed { failure: misformed.failure(), lasting: true });
        }
        before = Some(misformed);
    }
}

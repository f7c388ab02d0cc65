//! The behaviour of an agent that is a YAML file: ask the model, call the tools it asks for, until it has answered.

use greenroom_config::spec::LlmConfig;
use greenroom_contract::{
    BoxFuture, Event,
    port::{
        llm::{Message, OutputForm, Part, Request, Role, ToolUse},
        tool::Answer,
    },
};
use serde_json::Value;

use super::{
    context::Context,
    reading::as_text,
    repeats::Repeats,
    run::Behaviour,
    trouble::Trouble,
    view::{self, View},
};
use crate::plan::Collaborate;

/// The behaviour. An agent with a `collaboration` has plans carried out instead.
pub struct Converse;

impl Behaviour for Converse {
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>> {
        if context.spec().collaboration.is_some() {
            return Collaborate.perform(context);
        }
        Box::pin(converse(context))
    }
}

async fn converse(context: &mut Context) -> Result<Value, Trouble> {
    let remembers = context.spec().ordered();
    let View { version, data, mut messages, system } = match remembers {
        true => view::gather(context).await?,
        false => View::empty(context.spec().system_prompt.clone()),
    };
    let known = messages.len();
    messages.push(Message::text(Role::User, question(context.event())));
    let form = form(&context.spec().llm_config);
    let mut repeats = Repeats::new(context.spec().limits.max_repeats);
    let answer = loop {
        let limits = &context.spec().limits;
        let request = Request {
            system: system.clone(),
            messages: messages.clone(),
            tools: context.tools(),
            max_tokens: context.spec().llm_config.max_tokens,
            temperature: context.spec().llm_config.temperature,
            effort: context.spec().llm_config.effort,
            output: form.clone(),
            idempotency_key: String::new(),
            silence: limits.silence.0,
        };
        // A form is for a program, not for somebody to read along.
        context.progress.aloud(form.is_none());
        let response = context.ask(request).await;
        context.progress.aloud(false);
        let response = response?;
        let (text, wanted) = (response.text(), response.tool_uses());
        messages.push(Message { role: Role::Assistant, parts: response.parts });
        if wanted.is_empty() {
            break text;
        }
        let results = answers(context, &mut repeats, &wanted).await?;
        messages.push(Message { role: Role::User, parts: results });
    };
    if remembers {
        context.save(version, data, messages.split_off(known));
    }
    Ok(match form {
        // The provider's layer has checked it.
        Some(_) => serde_json::from_str(&answer).unwrap_or(Value::String(answer)),
        None => Value::String(answer),
    })
}

/// The form that the agent's file wants its answers in.
fn form(config: &LlmConfig) -> Option<OutputForm> {
    let output = config.output.as_ref()?;
    Some(OutputForm { name: output.name.clone(), schema: output.schema.clone() })
}

/// What the tools answer that the model asked for, in its order.
async fn answers(context: &mut Context, repeats: &mut Repeats, wanted: &[ToolUse]) -> Result<Vec<Part>, Trouble> {
    let mut refused = Vec::with_capacity(wanted.len());
    for ask in wanted {
        refused.push(repeats.refuse(ask)?);
    }
    let made: Vec<ToolUse> =
        wanted.iter().zip(&refused).filter(|(_, refused)| refused.is_none()).map(|(ask, _)| ask.clone()).collect();
    let mut made = context.use_tools(&made).await?.into_iter();
    let mut results = Vec::with_capacity(wanted.len());
    for (ask, refused) in wanted.iter().zip(refused) {
        let was_refused = refused.is_some();
        let Some(answer) = refused.or_else(|| made.next()) else { break };
        if !was_refused {
            repeats.note(ask, &answer);
        }
        let Answer { content, is_error, images, .. } = answer;
        results.push(Part::ToolResult { id: ask.id.clone(), content, is_error, images });
    }
    Ok(results)
}

/// What an event asks, as text: its `input` or `text`, or all that it says.
pub(crate) fn question(event: &Event) -> String {
    let payload = &event.payload;
    match payload.get("input").or_else(|| payload.get("text")) {
        Some(asked) => as_text(asked),
        None => match payload {
            Value::String(text) => text.clone(),
            other => format!("{}: {other}", event.event_type),
        },
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::TraceId;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_question_is_found_in_any_payload() {
        let ask = |payload| question(&Event::new("demo.topic", "test", TraceId::new(), payload));
        assert_eq!(ask(json!({"input": "hi"})), "hi");
        assert_eq!(ask(json!({"input": {"order": 7}})), r#"{"order":7}"#);
        assert_eq!(ask(json!({"text": "from slack", "user_id": "U1"})), "from slack");
        assert_eq!(ask(json!("plain")), "plain");
        assert_eq!(ask(json!({"a": 1})), r#"demo.topic: {"a":1}"#);
    }
}

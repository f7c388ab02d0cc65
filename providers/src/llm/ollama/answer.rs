//! From Ollama's lines to chunks and, in the end, the answer.

use greenroom_contract::port::llm::{Error, Part, Stop, ToolUse, Usage};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::model::PROVIDER;
use crate::llm::{estimate, wire::lenient};

/// One line, or the whole body of an answer that was not streamed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line {
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    message: Option<Said>,
    #[serde(default, deserialize_with = "lenient")]
    done: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    prompt_eval_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    eval_count: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default, deserialize_with = "lenient")]
    content: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    thinking: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Debug, Deserialize)]
struct Call {
    #[serde(default, deserialize_with = "lenient")]
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    #[serde(default)]
    name: String,
    /// An object; some models write a text of JSON.
    #[serde(default)]
    arguments: Value,
}

/// What has come so far.
#[derive(Default)]
pub(super) struct Answer {
    text: String,
    thinking: String,
    calls: Vec<Call>,
    end: Option<Line>,
    model: Option<String>,
    begun: bool,
}

/// The answer as a whole.
pub(super) struct Whole {
    pub(super) parts: Vec<Part>,
    pub(super) stop: Stop,
    pub(super) usage: Usage,
    pub(super) model: Option<String>,
}

impl Answer {
    /// Takes one line. Returns the new text; an empty one means that the model showed life without text.
    pub(super) fn take(&mut self, mut line: Line) -> String {
        self.begun = true;
        self.model = line.model.take().filter(|model| !model.is_empty()).or(self.model.take());
        let said = line.message.take().unwrap_or_default();
        self.thinking.push_str(said.thinking.as_deref().unwrap_or_default());
        self.calls.extend(said.tool_calls.unwrap_or_default());
        if line.done == Some(true) {
            self.end = Some(line);
        }
        let text = said.content.unwrap_or_default();
        self.text.push_str(&text);
        text
    }

    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the last line has come.
    pub(super) fn finished(&self) -> bool {
        self.end.is_some()
    }

    /// The parts, why the model stopped, and the tokens. `key` makes ids for calls that have none, which is usual here.
    pub(super) fn finish(self, key: &str, estimated_input: impl FnOnce() -> u64) -> Result<Whole, Error> {
        let end = self.end.unwrap_or_default();
        let mut parts = Vec::new();
        if !self.thinking.is_empty() {
            let value = json!({ "thinking": self.thinking });
            parts.push(Part::Opaque { provider: PROVIDER.to_owned(), value });
        }
        if !self.text.is_empty() {
            parts.push(Part::Text { text: self.text });
        }
        let cut = end.done_reason.as_deref() == Some("length");
        // The last call of a cut answer may be cut, and a cut call must not run.
        if !cut {
            for (position, call) in self.calls.into_iter().enumerate() {
                let ask = tool_use(call, key, position)
                    .map_err(|message| Error::Interrupted { provider: PROVIDER.to_owned(), message })?;
                parts.push(Part::ToolUse(ask));
            }
        }
        // It says `stop` for tool calls too: what was asked decides.
        let asks = parts.iter().any(|part| matches!(part, Part::ToolUse(_)));
        let stop = match (asks, end.done_reason.as_deref()) {
            (true, _) => Stop::ToolUse,
            (false, Some("length")) => Stop::MaxTokens,
            (false, Some("stop") | None) => Stop::EndTurn,
            (false, Some(_)) => Stop::Other,
        };
        let usage = Usage {
            input: end.prompt_eval_count.unwrap_or_else(estimated_input),
            output: end.eval_count.unwrap_or_else(|| estimate::output(&parts)),
            estimated: end.prompt_eval_count.is_none() || end.eval_count.is_none(),
            ..Usage::default()
        };
        Ok(Whole { parts, stop, usage, model: self.model })
    }
}

fn tool_use(call: Call, key: &str, position: usize) -> Result<ToolUse, String> {
    let name = call.function.name;
    if name.is_empty() {
        return Err("the model asked for a tool without naming it".to_owned());
    }
    let input = match call.function.arguments {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
        Value::Null => json!({}),
        other => other,
    };
    if !input.is_object() {
        return Err(format!("the model asked for the tool {name:?} with arguments that are no JSON object"));
    }
    let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
        let digest = Sha256::new().chain_update(key).chain_update((position as u64).to_be_bytes()).finalize();
        format!("call_{}", hex::encode(&digest[..12]))
    });
    Ok(ToolUse { id, name, input })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(lines: &[Value]) -> Result<Whole, Error> {
        let mut answer = Answer::default();
        for line in lines {
            answer.take(serde_json::from_value(line.clone()).unwrap());
        }
        answer.finish("key", || 11)
    }

    fn said(message: Value) -> Value {
        json!({ "model": "llama5", "message": message, "done": false })
    }

    fn done(reason: &str) -> Value {
        json!({ "model": "llama5", "done": true, "done_reason": reason, "prompt_eval_count": 30, "eval_count": 5 })
    }

    #[test]
    fn text_thinking_and_calls_become_parts() {
        let call = |name: &str, arguments: Value| json!({ "function": { "name": name, "arguments": arguments } });
        let whole = finish(&[
            said(json!({ "role": "assistant", "content": "", "thinking": "h" })),
            said(json!({ "thinking": "m" })),
            said(json!({ "content": "Let me " })),
            said(json!({ "content": "look." })),
            said(json!({ "tool_calls": [call("look", json!({ "a": 1 })), call("see", json!("{\"b\":2}"))] })),
            done("stop"),
        ])
        .unwrap();
        let names: Vec<_> = whole
            .parts
            .iter()
            .map(|part| match part {
                Part::Opaque { value, .. } => value["thinking"].as_str().unwrap().to_owned(),
                Part::Text { text } => text.clone(),
                Part::ToolUse(ask) => format!("{} {}", ask.name, ask.input),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["hm", "Let me look.", "look {\"a\":1}", "see {\"b\":2}"]);
        assert_eq!(whole.stop, Stop::ToolUse);
        assert_eq!(whole.usage, Usage { input: 30, output: 5, ..Usage::default() });
    }

    #[test]
    fn what_is_not_counted_is_estimated_and_a_cut_answer_is_said_to_be_cut() {
        let whole = finish(&[said(json!({ "content": "half" })), done("length")]).unwrap();
        assert_eq!((whole.stop, whole.usage.estimated), (Stop::MaxTokens, false));
        let whole = finish(&[said(json!({ "content": "half" })), json!({ "done": true })]).unwrap();
        assert_eq!((whole.stop, whole.usage.input, whole.usage.estimated), (Stop::EndTurn, 11, true));
    }

    #[test]
    fn a_call_without_an_object_is_none() {
        for broken in [json!("{\"a\":"), json!([1]), json!(7)] {
            let call = json!({ "function": { "name": "f", "arguments": broken } });
            assert!(finish(&[said(json!({ "tool_calls": [call] })), done("stop")]).is_err());
        }
    }
}

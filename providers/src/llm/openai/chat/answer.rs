//! From a server's events to chunks and, in the end, the answer. Nothing is required that some server leaves out.

use greenroom_contract::port::llm::{Error, Part, Stop};
use serde::Deserialize;
use serde_json::Value;

use super::{tool_calls::ToolCalls, usage::Counted};
use crate::llm::{
    openai::{failure::Said as Failed, listen::Answer},
    wire::lenient,
};

/// One event of a stream, or the whole body of an answer that was not streamed.
#[derive(Debug, Default, Deserialize)]
struct Event {
    #[serde(default, deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    choices: Option<Vec<Choice>>,
    #[serde(default, deserialize_with = "lenient")]
    usage: Option<Counted>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    /// What is new, in a stream.
    #[serde(default, deserialize_with = "lenient")]
    delta: Option<Said>,
    /// The whole, outside one; some servers send it in a stream too.
    #[serde(default, deserialize_with = "lenient")]
    message: Option<Said>,
    #[serde(default, deserialize_with = "lenient")]
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Said {
    /// A text, or a list of parts with texts.
    #[serde(default)]
    content: Value,
    #[serde(default, deserialize_with = "lenient")]
    refusal: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    tool_calls: Option<Vec<super::tool_calls::Delta>>,
    /// The form from before there were several calls at once.
    #[serde(default, deserialize_with = "lenient")]
    function_call: Option<super::tool_calls::Function>,
}

/// What has come so far.
#[derive(Default)]
pub(super) struct Completion {
    text: String,
    calls: ToolCalls,
    refused: bool,
    finish_reason: Option<String>,
    /// As far as the server counted.
    pub(super) counted: Counted,
    /// The model, as the server names it.
    pub(super) model: Option<String>,
    begun: bool,
}

impl Answer for Completion {
    fn take(&mut self, event: Value) -> Result<String, Failed> {
        let event: Event = serde_json::from_value(event).unwrap_or_default();
        self.model = event.model.filter(|model| !model.is_empty()).or(self.model.take());
        if let Some(counted) = event.usage {
            self.counted = counted;
        }
        // Only the first choice: we ask for one.
        let Some(choice) = event.choices.unwrap_or_default().into_iter().next() else { return Ok(String::new()) };
        self.begun = true;
        self.finish_reason = choice.finish_reason.filter(|reason| !reason.is_empty()).or(self.finish_reason.take());
        Ok(match (choice.delta, choice.message) {
            (Some(delta), _) => self.add(delta),
            // A message that repeats what was streamed adds nothing.
            (None, Some(message)) if self.text.is_empty() && self.calls.is_empty() => self.add(message),
            _ => String::new(),
        })
    }

    fn begun(&self) -> bool {
        self.begun
    }

    fn finished(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// The usage comes after the reason, and `[DONE]` after that.
    fn is_last(&self) -> bool {
        false
    }
}

impl Completion {
    fn add(&mut self, said: Said) -> String {
        self.refused |= said.refusal.is_some_and(|refusal| !refusal.is_empty());
        for delta in said.tool_calls.unwrap_or_default() {
            self.calls.add(delta);
        }
        if let Some(function) = said.function_call {
            self.calls.add_function(function);
        }
        let new = text(&said.content);
        self.text.push_str(&new);
        new
    }

    /// The parts and why the model stopped. `key` makes ids for calls that have none.
    ///
    /// A call whose arguments are not a JSON object is no call: it is an [`Error::Interrupted`], because asking again
    /// may mend it, while handing the raw text to a tool would run it with arguments that nobody meant.
    pub(super) fn finish(self, provider: &str, key: &str) -> Result<(Vec<Part>, Stop), Error> {
        let reason = self.finish_reason.as_deref();
        if self.refused || reason == Some("content_filter") {
            let message = if self.refused { "the model declined" } else { "a content filter stopped the answer" };
            return Err(Error::Refused { provider: provider.to_owned(), message: message.to_owned() });
        }
        let mut parts: Vec<Part> = Vec::new();
        if !self.text.is_empty() {
            parts.push(Part::Text { text: self.text });
        }
        if reason == Some("length") {
            // The last call may be cut, and a cut call must not run; the text may still be of use.
            return Ok((parts, Stop::MaxTokens));
        }
        let asks =
            self.calls.finish(key).map_err(|message| Error::Interrupted { provider: provider.to_owned(), message })?;
        // Servers say `stop` for tool calls too: what was asked decides.
        let stop = match (asks.is_empty(), reason) {
            (false, _) => Stop::ToolUse,
            (true, Some("stop") | None) => Stop::EndTurn,
            (true, Some(_)) => Stop::Other,
        };
        parts.extend(asks.into_iter().map(Part::ToolUse));
        Ok((parts, stop))
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(events: &[Value]) -> Completion {
        let mut answer = Completion::default();
        events.iter().for_each(|event| drop(answer.take(event.clone())));
        answer
    }

    fn delta(delta: Value) -> Value {
        json!({ "choices": [{ "index": 0, "delta": delta }] })
    }

    fn end(reason: &str) -> Value {
        json!({ "choices": [{ "delta": {}, "finish_reason": reason }] })
    }

    #[test]
    fn text_is_joined_and_odd_fields_do_no_harm() {
        let events = [
            json!({ "model": "m-1", "choices": [{ "delta": { "content": null }, "finish_reason": null }] }),
            delta(json!({ "content": "Good " })),
            json!({ "choices": [] }),
            json!({ "choices": null, "usage": null, "x": 1 }),
            delta(json!({ "content": [{ "type": "text", "text": "day" }], "tool_calls": "none", "reasoning": "hm" })),
            json!("not an object"),
            end("stop"),
        ];
        let answer = answer(&events);
        assert_eq!(answer.model.as_deref(), Some("m-1"));
        assert!(answer.begun() && answer.finished());
        let parts = vec![Part::Text { text: "Good day".to_owned() }];
        assert_eq!(answer.finish("p", "k").unwrap(), (parts, Stop::EndTurn));
    }

    #[test]
    fn reasons_are_read_kindly() {
        let stop =
            |reason: &str| answer(&[delta(json!({ "content": "x" })), end(reason)]).finish("p", "k").map(|end| end.1);
        assert_eq!(stop("length").unwrap(), Stop::MaxTokens);
        assert_eq!(stop("eos_token").unwrap(), Stop::Other);
        assert!(matches!(stop("content_filter"), Err(Error::Refused { .. })));
        let refused = answer(&[delta(json!({ "refusal": "I cannot" })), end("stop")]).finish("p", "k");
        assert!(matches!(refused, Err(Error::Refused { .. })));
    }

    #[test]
    fn a_call_is_a_call_whatever_the_reason_says_and_a_cut_one_is_none() {
        let call = |arguments: &str| {
            delta(json!({ "tool_calls": [{ "index": 0, "function": { "name": "f", "arguments": arguments } }] }))
        };
        assert_eq!(answer(&[call("{}"), end("stop")]).finish("p", "k").unwrap().1, Stop::ToolUse);
        assert_eq!(answer(&[call("{\"a\":"), end("length")]).finish("p", "k").unwrap(), (vec![], Stop::MaxTokens));
        let broken = answer(&[call("{\"a\":"), end("tool_calls")]).finish("p", "k").unwrap_err();
        assert!(matches!(broken, Error::Interrupted { .. }));
    }

    #[test]
    fn a_last_message_that_repeats_the_stream_adds_nothing() {
        let last = json!({ "choices": [{ "message": { "content": "Hi" }, "finish_reason": "stop" }] });
        let twice = answer(&[delta(json!({ "content": "Hi" })), last.clone()]).finish("p", "k").unwrap();
        let once = answer(&[last]).finish("p", "k").unwrap();
        assert_eq!(twice, once);
    }
}

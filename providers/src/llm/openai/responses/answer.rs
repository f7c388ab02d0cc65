//! From the API's events to chunks and, in the end, the answer. Events that this build does not know are signs of life.

use std::collections::{BTreeMap, HashSet};

use greenroom_contract::port::llm::{Error, Part, Stop, ToolUse};
use serde_json::{Value, json};

use super::{items::keep, usage::Counted};
use crate::llm::openai::{
    Options,
    arguments::{object, stable_id},
    failure::Said,
    listen::Answer,
};

/// What has come so far.
#[derive(Default)]
pub(super) struct Reply {
    /// The finished items, by their place.
    items: BTreeMap<u64, Value>,
    /// The text as it was streamed, in case its item never comes.
    streamed: String,
    refused: bool,
    begun: bool,
    /// The status of the whole, once it is known: `completed` or `incomplete`.
    status: Option<String>,
    incomplete_because: Option<String>,
    /// As far as the server counted.
    pub(super) counted: Counted,
    /// The model, as the server names it.
    pub(super) model: Option<String>,
}

impl Answer for Reply {
    fn take(&mut self, mut event: Value) -> Result<String, Said> {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "response.output_text.delta" => {
                self.begun = true;
                let delta = event.get("delta").and_then(Value::as_str).unwrap_or_default();
                self.streamed.push_str(delta);
                return Ok(delta.to_owned());
            }
            "response.output_item.done" => {
                self.begun = true;
                let place = event.get("output_index").and_then(Value::as_u64);
                let item = event["item"].take();
                self.items.insert(place.unwrap_or(self.items.len() as u64), item);
            }
            "response.refusal.delta" | "response.refusal.done" => {
                self.begun = true;
                self.refused = true;
            }
            "response.completed" | "response.incomplete" => self.end(event["response"].take()),
            "response.failed" => return Err(Said::read(&event["response"])),
            "error" => return Err(Said::read(&event)),
            "response.created" | "response.in_progress" | "response.queued" => {}
            // The whole answer of a server that does not stream.
            "" if event.get("object").is_some_and(|object| object == "response") => {
                self.end(event);
                return Ok(self.items.values().flat_map(texts).collect());
            }
            _ => self.begun |= kind.starts_with("response."),
        }
        Ok(String::new())
    }

    fn begun(&self) -> bool {
        self.begun
    }

    fn finished(&self) -> bool {
        self.status.is_some()
    }

    fn is_last(&self) -> bool {
        self.status.is_some()
    }
}

impl Reply {
    fn end(&mut self, mut response: Value) {
        self.begun = true;
        let word = |value: &Value| value.as_str().map(str::to_owned);
        self.status = Some(word(&response["status"]).unwrap_or_else(|| "completed".to_owned()));
        self.incomplete_because = word(&response["incomplete_details"]["reason"]);
        self.model = word(&response["model"]).filter(|model| !model.is_empty());
        self.counted = serde_json::from_value(response["usage"].take()).unwrap_or_default();
        // The items as they were finished one by one are the ones to hand back; the whole is for servers that send no
        // such events.
        if let (true, Value::Array(output)) = (self.items.is_empty(), response["output"].take()) {
            self.items = (0..).zip(output).collect();
        }
    }

    /// The parts and why the model stopped. `key` makes ids for calls that have none.
    ///
    /// A call whose arguments are not a JSON object is no call: it is an [`Error::Interrupted`], because asking again
    /// may mend it, while handing the raw text to a tool would run it with arguments that nobody meant.
    pub(super) fn finish(self, options: &Options, key: &str) -> Result<(Vec<Part>, Stop), Error> {
        let provider = options.dialect.provider().to_owned();
        let filtered = self.incomplete_because.as_deref() == Some("content_filter");
        if self.refused || filtered || self.items.values().any(refuses) {
            let message = if filtered { "a content filter stopped the answer" } else { "the model declined" };
            return Err(Error::Refused { provider, message: message.to_owned() });
        }
        let whole = self.status.as_deref() != Some("incomplete");
        let mut parts = Vec::new();
        let mut ids = HashSet::new();
        for (position, item) in self.items.into_values().enumerate() {
            match item["type"].as_str().unwrap_or_default() {
                "message" => {
                    let text: String = texts(&item).collect();
                    if !text.is_empty() {
                        let phase = item.get("phase").filter(|phase| phase.is_string());
                        parts.extend(phase.map(|phase| keep(options, json!({ "phase": phase }))));
                        parts.push(Part::Text { text });
                    }
                }
                // The last call of a cut answer may be cut, and a cut call must not run.
                "function_call" if whole => {
                    let ask = tool_use(&item, key, position, &mut ids)
                        .map_err(|message| Error::Interrupted { provider: provider.clone(), message })?;
                    parts.push(Part::ToolUse(ask));
                }
                "reasoning" => parts.push(keep(options, item)),
                _ => {}
            }
        }
        let said = parts.iter().any(|part| !matches!(part, Part::Opaque { .. }));
        if !said && !self.streamed.is_empty() {
            parts.push(Part::Text { text: self.streamed });
        }
        // Thoughts that led to nothing are refused when they are handed back.
        while parts.last().is_some_and(|part| matches!(part, Part::Opaque { .. })) {
            parts.pop();
        }
        let stop = match (parts.iter().any(|part| matches!(part, Part::ToolUse(_))), whole) {
            (true, _) => Stop::ToolUse,
            (false, true) => Stop::EndTurn,
            (false, false) if self.incomplete_because.as_deref() == Some("max_output_tokens") => Stop::MaxTokens,
            (false, false) => Stop::Other,
        };
        Ok((parts, stop))
    }
}

fn content(item: &Value) -> impl Iterator<Item = &Value> {
    item["content"].as_array().into_iter().flatten()
}

fn texts(item: &Value) -> impl Iterator<Item = &str> {
    content(item).filter(|block| block["type"] == "output_text").filter_map(|block| block["text"].as_str())
}

fn refuses(item: &Value) -> bool {
    content(item).any(|block| block["type"] == "refusal")
}

fn tool_use(item: &Value, key: &str, position: usize, ids: &mut HashSet<String>) -> Result<ToolUse, String> {
    let name = item["name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err("the model asked for a tool without naming it".to_owned());
    }
    let input = match &item["arguments"] {
        Value::String(text) => object(text),
        Value::Object(whole) => Some(whole.clone()),
        Value::Null => object(""),
        _ => None,
    };
    let Some(input) = input else {
        return Err(format!("the model asked for the tool {name:?} with arguments that are no JSON object"));
    };
    // An answer is matched to its call by the id, so every call has one, and its own.
    let given = item["call_id"].as_str().filter(|id| !id.is_empty() && !ids.contains(*id));
    let id = given.map_or_else(|| stable_id(key, position), str::to_owned);
    ids.insert(id.clone());
    Ok(ToolUse { id, name, input: Value::Object(input) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::openai::testing::options;

    fn finish(events: &[Value]) -> Result<(Vec<Part>, Stop), Error> {
        let mut reply = Reply::default();
        for event in events {
            reply.take(event.clone()).unwrap();
        }
        reply.finish(&options("gpt-6-sol"), "key")
    }

    fn done(place: u64, item: Value) -> Value {
        json!({ "type": "response.output_item.done", "output_index": place, "item": item })
    }

    fn completed() -> Value {
        json!({ "type": "response.completed", "response": { "status": "completed", "model": "gpt-6-sol-2026-09-01" } })
    }

    fn incomplete(reason: &str) -> Value {
        let details = json!({ "reason": reason });
        json!({ "type": "response.incomplete", "response": { "status": "incomplete", "incomplete_details": details } })
    }

    fn message(text: &str) -> Value {
        json!({ "type": "message", "content": [{ "type": "output_text", "text": text }], "phase": "final_answer" })
    }

    fn call(arguments: &str) -> Value {
        json!({ "type": "function_call", "call_id": "c1", "name": "look", "arguments": arguments })
    }

    #[test]
    fn items_become_parts_in_their_order() {
        let reasoning = json!({ "type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA" });
        let events = [done(2, call("{\"a\":1}")), done(0, reasoning.clone()), done(1, message("So.")), completed()];
        let (parts, stop) = finish(&events).unwrap();
        let options = options("gpt-6-sol");
        let ask = ToolUse { id: "c1".to_owned(), name: "look".to_owned(), input: json!({ "a": 1 }) };
        let expected = vec![
            keep(&options, reasoning),
            keep(&options, json!({ "phase": "final_answer" })),
            Part::Text { text: "So.".to_owned() },
            Part::ToolUse(ask),
        ];
        assert_eq!((parts, stop), (expected, Stop::ToolUse));
    }

    #[test]
    fn a_cut_answer_keeps_its_text_and_loses_calls_and_thoughts_without_an_end() {
        let reasoning = json!({ "type": "reasoning", "id": "rs_1", "summary": [] });
        let (parts, stop) =
            finish(&[done(0, reasoning), done(1, call("{\"a\":")), incomplete("max_output_tokens")]).unwrap();
        assert_eq!((parts, stop), (vec![], Stop::MaxTokens));
        let delta = json!({ "type": "response.output_text.delta", "delta": "half" });
        let (parts, stop) = finish(&[delta, incomplete("steered")]).unwrap();
        assert_eq!((parts, stop), (vec![Part::Text { text: "half".to_owned() }], Stop::Other));
    }

    #[test]
    fn refusals_in_every_form_are_refusals() {
        let block = json!({ "type": "message", "content": [{ "type": "refusal", "refusal": "no" }] });
        let delta = json!({ "type": "response.refusal.delta", "delta": "I can" });
        for events in [vec![done(0, block), completed()], vec![delta, completed()], vec![incomplete("content_filter")]]
        {
            assert!(matches!(finish(&events), Err(Error::Refused { .. })));
        }
    }

    #[test]
    fn a_failure_is_told_in_the_servers_words() {
        let mut reply = Reply::default();
        let failed = json!({
            "type": "response.failed", "response": { "error": { "code": "rate_limit_exceeded", "message": "slow" } }
        });
        assert_eq!(
            reply.take(failed).unwrap_err(),
            Said::read(&json!({ "code": "rate_limit_exceeded", "message": "slow" }))
        );
        let error = json!({ "type": "error", "code": "server_error", "message": "oh", "sequence_number": 3 });
        assert!(reply.take(error).is_err() && !reply.begun());
    }

    #[test]
    fn arguments_are_an_object_or_no_call_and_every_call_has_its_own_id() {
        assert!(matches!(finish(&[done(0, call("{\"a\":")), completed()]), Err(Error::Interrupted { .. })));
        let (parts, _) = finish(&[done(0, call("")), done(1, call("{}")), completed()]).unwrap();
        let ids: HashSet<String> = parts
            .into_iter()
            .map(|part| if let Part::ToolUse(ask) = part { ask.id } else { panic!("{part:?}") })
            .collect();
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn a_whole_answer_is_read_like_a_stream() {
        let mut reply = Reply::default();
        let body = json!({
            "object": "response", "status": "completed", "error": null, "model": "m", "output": [message("Hi")],
            "usage": { "input_tokens": 3, "output_tokens": 1 }
        });
        assert_eq!(reply.take(body).unwrap(), "Hi");
        assert!(reply.begun() && reply.finished());
    }
}

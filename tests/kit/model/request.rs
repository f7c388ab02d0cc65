//! What the model server was asked.

use serde_json::Value;

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its number, from 0, over the whole life of the server.
    pub number: usize,
    /// The path.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
}

impl Asked {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// How many turns of the model the conversation holds: 0 for a first question. A rule that goes by it gives a resumed
    /// conversation the answer that belongs to its place, however often it is asked.
    pub fn turn(&self) -> usize {
        self.messages().iter().filter(|message| message["role"] == "assistant").count()
    }

    /// The last thing that the user said.
    pub fn question(&self) -> String {
        let last = self.messages().iter().rev().find(|message| message["role"] == "user");
        last.map(|message| text_of(&message["content"])).unwrap_or_default()
    }

    /// What the tools answered so far, oldest first.
    pub fn tool_results(&self) -> Vec<String> {
        let answers = self.messages().iter().filter(|message| message["role"] == "tool");
        answers.map(|message| text_of(&message["content"])).collect()
    }

    /// The names of the tools that were offered.
    pub fn tools(&self) -> Vec<String> {
        let offered = self.body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        offered.iter().filter_map(|tool| tool["function"]["name"].as_str()).map(str::to_owned).collect()
    }

    fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

/// Content is a text or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

//! Which rule of a script applies to a conversation and what it does next: the same for the same conversation.

use greenroom_config::spec::{ScriptRule, ScriptedTool};
use greenroom_contract::port::{
    llm::{Message, Part, Request, Role, ToolUse},
    tool::ToolSpec,
};
use serde_json::{Map, Value};

/// What the stand-in says of itself.
const HONEST: &str = "scripted stand-in: no model is configured; set OPENAI_API_KEY, or OPENAI_BASE_URL for any \
                      OpenAI-compatible server";

/// What a script does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    Say(String),
    Ask(ToolUse),
    Fail(String),
    Panic(String),
}

/// The rule that applies: the first whose `when` is in the question, in any case.
pub(super) fn choose<'a>(script: &'a [ScriptRule], question: &str) -> Option<&'a ScriptRule> {
    let question = question.to_lowercase();
    script.iter().find(|rule| rule.when.as_ref().is_none_or(|when| question.contains(&when.to_lowercase())))
}

/// The last text that the person or event said; results of tools are not questions.
pub(super) fn question(messages: &[Message]) -> String {
    messages.iter().rev().filter(|message| message.role == Role::User).find_map(text).unwrap_or_default()
}

/// What `rule` does at this point of the conversation.
pub(super) fn act(rule: Option<&ScriptRule>, question: &str, request: &Request) -> Act {
    let Some(rule) = rule else { return Act::Say(stand_in(question)) };
    if let Some(message) = &rule.panic {
        return Act::Panic(message.clone());
    }
    if let Some(message) = &rule.error {
        return Act::Fail(message.clone());
    }
    let answered = rule.tool.as_ref().and_then(|tool| answer_of(&tool.name, &request.messages));
    match (&rule.tool, &answered) {
        (Some(tool), None) if has(&request.tools, &tool.name) => Act::Ask(ask(tool, question, request)),
        (Some(tool), None) => Act::Say(format!(
            "(scripted stand-in: the script asks for the tool {:?}, which this agent lacks)",
            tool.name
        )),
        _ => {
            let answer = answered.or_else(|| last_answer(&request.messages)).unwrap_or_default();
            match (&rule.reply, &rule.tool) {
                (Some(reply), _) => Act::Say(fill(reply, question, &answer)),
                (None, Some(_)) => Act::Say(answer),
                (None, None) => Act::Say(stand_in(question)),
            }
        }
    }
}

fn stand_in(question: &str) -> String {
    format!("({HONEST}) You said: {question}")
}

fn has(tools: &[ToolSpec], name: &str) -> bool {
    tools.iter().any(|tool| tool.name == name)
}

fn text(message: &Message) -> Option<String> {
    let texts: Vec<&str> = message
        .parts
        .iter()
        .filter_map(|part| if let Part::Text { text } = part { Some(text.as_str()) } else { None })
        .collect();
    (!texts.is_empty()).then(|| texts.concat())
}

/// The id says where in the conversation the tool was asked for, so that a repeated request asks with the same id.
fn ask(tool: &ScriptedTool, question: &str, request: &Request) -> ToolUse {
    let input = match fill_all(&tool.input, question) {
        Value::Null => Value::Object(Map::new()),
        input => input,
    };
    ToolUse { id: format!("scripted-{}", request.messages.len()), name: tool.name.clone(), input }
}

/// What `tool` answered, if the last message holds that.
fn answer_of(tool: &str, messages: &[Message]) -> Option<String> {
    let last = messages.last()?;
    last.parts.iter().find_map(|part| match part {
        Part::ToolResult { id, content, .. } if asked_tool(id, messages) == Some(tool) => Some(content.clone()),
        _ => None,
    })
}

fn asked_tool<'a>(id: &str, messages: &'a [Message]) -> Option<&'a str> {
    messages.iter().rev().flat_map(|message| &message.parts).find_map(|part| match part {
        Part::ToolUse(ask) if ask.id == id => Some(ask.name.as_str()),
        _ => None,
    })
}

fn last_answer(messages: &[Message]) -> Option<String> {
    messages.iter().rev().flat_map(|message| message.parts.iter().rev()).find_map(|part| match part {
        Part::ToolResult { content, .. } => Some(content.clone()),
        _ => None,
    })
}

/// Puts the question and the tool's answer in their places, in one pass: what they themselves contain is left alone.
fn fill(template: &str, question: &str, answer: &str) -> String {
    let mut filled = String::with_capacity(template.len() + question.len() + answer.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{input}") {
            filled.push_str(question);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{tool}") {
            filled.push_str(answer);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled + rest
}

/// Fills every text within a tool's arguments.
fn fill_all(input: &Value, question: &str) -> Value {
    match input {
        Value::String(text) => Value::String(fill(text, question, "")),
        Value::Array(items) => items.iter().map(|item| fill_all(item, question)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill_all(value, question))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::execution::Effect;
    use serde_json::json;

    use super::*;
    use crate::llm::testing::request;

    fn rule(json: Value) -> ScriptRule {
        serde_json::from_value(json).unwrap()
    }

    fn next(script: &[ScriptRule], request: &Request) -> Act {
        let question = question(&request.messages);
        act(choose(script, &question), &question, request)
    }

    fn with_tool(mut request: Request, name: &str) -> Request {
        let input_schema = json!({ "type": "object" });
        request.tools.push(ToolSpec {
            name: name.into(),
            description: String::new(),
            input_schema,
            effect: Effect::None,
        });
        request
    }

    #[test]
    fn the_first_fitting_rule_wins_in_any_case_and_without_one_it_says_what_it_is() {
        let script =
            [rule(json!({"when": "hello", "reply": "hi"})), rule(json!({"when": "hello you", "reply": "never"}))];
        assert_eq!(next(&script, &request("Well, HELLO you")), Act::Say("hi".to_owned()));
        let Act::Say(text) = next(&script, &request("bye")) else { panic!("it should speak") };
        assert!(text.starts_with("(scripted stand-in: no model is configured") && text.ends_with("You said: bye"));
    }

    #[test]
    fn a_tool_is_asked_for_first_and_its_answer_is_used_in_the_reply() {
        let script =
            [rule(json!({"tool": {"name": "add", "input": {"a": 1, "of": "{input}"}}, "reply": "{input} = {tool}"}))];
        let mut request = with_tool(request("1+1"), "add");
        let Act::Ask(ask) = next(&script, &request) else { panic!("it should ask") };
        assert_eq!(ask.input, json!({"a": 1, "of": "1+1"}));
        assert_eq!(next(&script, &request), Act::Ask(ask.clone()), "the same request must ask the same");
        let result =
            Part::ToolResult { id: ask.id.clone(), content: "2 {input}".to_owned(), is_error: false, images: vec![] };
        request.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolUse(ask)] });
        request.messages.push(Message { role: Role::User, parts: vec![result] });
        assert_eq!(next(&script, &request), Act::Say("1+1 = 2 {input}".to_owned()));
    }

    #[test]
    fn a_new_question_asks_the_tool_again() {
        let script = [rule(json!({"tool": {"name": "add"}}))];
        let mut request = with_tool(request("first"), "add");
        let Act::Ask(ask) = next(&script, &request) else { panic!("it should ask") };
        let result = Part::ToolResult { id: ask.id.clone(), content: "2".to_owned(), is_error: false, images: vec![] };
        request.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolUse(ask)] });
        request.messages.push(Message { role: Role::User, parts: vec![result] });
        request.messages.push(Message::text(Role::Assistant, "2"));
        request.messages.push(Message::text(Role::User, "second"));
        assert!(matches!(next(&script, &request), Act::Ask(_)));
    }

    #[test]
    fn a_tool_that_the_agent_lacks_is_named() {
        let script = [rule(json!({"tool": {"name": "fly"}, "reply": "up"}))];
        let Act::Say(text) = next(&script, &request("go")) else { panic!("it should speak") };
        assert!(text.contains("\"fly\""), "{text}");
    }
}

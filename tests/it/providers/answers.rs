//! What is said, and that it is understood.

use std::time::Duration;

use greenroom_contract::port::llm::{Chunk, Image, Message, OutputForm, Part, Role, Stop, ToolUse};
use kit::vendor::{Block, Ending, Exchange, Tokens};
use serde_json::json;

use super::subject::{Subject, question, with_tools};

pub(super) async fn text_comes_in_its_pieces(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.then(Exchange::text(&["Good ", "d\u{e4}", "y", "."]));
    let chunks = stage.chunks(question("hi")).await;
    let texts: Vec<String> = chunks
        .iter()
        .filter_map(|chunk| if let Ok(Chunk::Text(text)) = chunk { Some(text.clone()) } else { None })
        .collect();
    assert_eq!(texts, ["Good ", "d\u{e4}", "y", "."]);
    let Some(Ok(Chunk::Done(response))) = chunks.last() else { panic!("the last chunk is no answer: {chunks:?}") };
    assert_eq!(response.text(), "Good d\u{e4}y.");
    assert_eq!(response.stop, Stop::EndTurn);
    assert_eq!((response.provider.as_str(), response.model.is_empty()), (stage.llm.provider(), false));
    assert_eq!(chunks.iter().filter(|chunk| matches!(chunk, Ok(Chunk::Done(_)))).count(), 1);
    assert_eq!(stage.vendor.attempts(), 1);
}

pub(super) async fn a_tool_is_asked_for_and_answered(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.then(Exchange::tool("call_7", "look", &["{\"at\"", ":\"the ", "moon\"}"]));
    stage.vendor.then(Exchange::text(&["It is full."]));
    let mut request = with_tools(question("Is the moon full?"));
    let asked = stage.answer(request.clone()).await;
    assert_eq!(asked.stop, Stop::ToolUse);
    let expected = ToolUse { id: "call_7".to_owned(), name: "look".to_owned(), input: json!({ "at": "the moon" }) };
    assert_eq!(asked.tool_uses(), [expected]);

    request.messages.push(Message { role: Role::Assistant, parts: asked.parts });
    request.messages.push(results(&[("call_7", "full")]));
    assert_eq!(stage.answer(request).await.text(), "It is full.");
    let heard = &stage.vendor.heard()[1];
    assert_eq!(heard.replayed, [tool("call_7", "look", "{\"at\":\"the moon\"}")]);
    assert_eq!(heard.results, [("call_7".to_owned(), "full".to_owned())]);
    assert_eq!(heard.tools, ["look", "fetch"]);
}

pub(super) async fn several_tools_are_asked_for_at_once(subject: &Subject) {
    let stage = subject.stage().await;
    let blocks = [
        Block::Text(vec!["I look.".to_owned()]),
        tool("c1", "look", "{\"at\":\"a\"}"),
        tool("c2", "look", "{\"at\":\"b\"}"),
        // Without arguments nothing is sent.
        Block::Tool { id: "c3".to_owned(), name: "fetch".to_owned(), arguments: Vec::new() },
    ];
    stage.vendor.then(Exchange::of(blocks)).then(Exchange::text(&["done"]));
    let mut request = with_tools(question("look"));
    let asked = stage.answer(request.clone()).await;
    let calls: Vec<_> = asked.tool_uses().into_iter().map(|ask| (ask.id, ask.name, ask.input)).collect();
    let call = |id: &str, name: &str, input| (id.to_owned(), name.to_owned(), input);
    assert_eq!(
        calls,
        [
            call("c1", "look", json!({ "at": "a" })),
            call("c2", "look", json!({ "at": "b" })),
            call("c3", "fetch", json!({}))
        ]
    );
    request.messages.push(Message { role: Role::Assistant, parts: asked.parts });
    request.messages.push(results(&[("c1", "one"), ("c2", "two"), ("c3", "three")]));
    stage.answer(request).await;
    let heard = &stage.vendor.heard()[1];
    let answered: Vec<&str> = heard.results.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(answered, ["c1", "c2", "c3"]);
    assert_eq!(heard.replayed.len(), 4);
}

pub(super) async fn thinking_goes_back_unchanged(subject: &Subject) {
    let stage = subject.stage().await;
    let thinking =
        Block::Thinking { text: "The moon? I had better look.".to_owned(), signature: "c2lnbmVk+/==".to_owned() };
    let said = [thinking, Block::Text(vec!["Let me ".to_owned(), "see.".to_owned()]), tool("c1", "look", "{}")];
    stage.vendor.then(Exchange::of(said.clone())).then(Exchange::text(&["full"]));
    let mut request = with_tools(question("Is it full?"));
    let asked = stage.answer(request.clone()).await;
    assert_eq!(asked.text(), "Let me see.", "thinking is no text");
    request.messages.push(Message { role: Role::Assistant, parts: asked.parts });
    request.messages.push(results(&[("c1", "full")]));
    stage.answer(request).await;
    let kept = said.iter().filter(|block| subject.dialect.replays() || !matches!(block, Block::Thinking { .. }));
    let expected: Vec<Block> = kept.map(Block::joined).collect();
    assert_eq!(stage.vendor.heard()[1].replayed, expected);
}

pub(super) async fn tokens_are_counted_and_priced(subject: &Subject) {
    let tokens =
        Tokens { input: 1234, cache_read: 5678, cache_write: 910, cache_write_1h: 111, output: 345, reasoning: 67 };
    for pieces in [vec!["all"], vec!["in", " pieces"]] {
        let stage = subject.stage().await;
        stage.vendor.then(Exchange::text(&pieces).tokens(tokens));
        let response = stage.answer(question("hi")).await;
        assert_eq!(response.usage, subject.usage(tokens));
        assert_eq!(response.cost, subject.cost(tokens));
        assert_eq!(stage.llm.cost(&response.usage), response.cost);
    }
}

pub(super) async fn a_full_answer_says_so(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.then(Exchange::text(&["and so on"]).ending(Ending::Length));
    // A call that was cut must not run.
    stage.vendor.then(Exchange::tool("c1", "look", &["{\"at\":"]).ending(Ending::Length));
    let text = stage.answer(question("hi")).await;
    assert_eq!((text.stop, text.text().as_str()), (Stop::MaxTokens, "and so on"));
    let cut = stage.answer(with_tools(question("hi"))).await;
    assert_eq!((cut.stop, cut.tool_uses().len()), (Stop::MaxTokens, 0));
}

pub(super) async fn a_refusal_is_an_error(subject: &Subject) {
    if !subject.dialect.declines() {
        return;
    }
    let stage = subject.stage().await;
    stage.vendor.always(Exchange::of([]).ending(Ending::Declined));
    let error = stage.error(question("hi")).await;
    assert_eq!((error.code(), stage.vendor.attempts()), ("refused", 1), "{error}");
}

pub(super) async fn what_is_new_does_no_harm(subject: &Subject) {
    let stage = subject.stage().await;
    let said = [Block::Text(vec!["Hel".to_owned(), "lo".to_owned()]), tool("c1", "look", "{}")];
    stage.vendor.then(Exchange::text(&["Hello"]).strange()).then(Exchange::of(said).strange());
    stage.vendor.then(Exchange::text(&["Hello"]).ending(Ending::Unheard));
    let hello = stage.answer(question("hi")).await;
    assert_eq!((hello.text().as_str(), hello.stop), ("Hello", Stop::EndTurn));
    let tooled = stage.answer(with_tools(question("hi"))).await;
    assert_eq!((tooled.text().as_str(), tooled.tool_uses().len(), tooled.stop), ("Hello", 1, Stop::ToolUse));
    let unheard = stage.answer(question("hi")).await;
    assert_eq!((unheard.text().as_str(), unheard.stop), ("Hello", Stop::Other));
}

pub(super) async fn the_request_is_understood(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.always(Exchange::text(&["yes"]));
    stage.answer(with_tools(question("Do you hear me?"))).await;
    let heard = &stage.vendor.heard()[0];
    assert_eq!((heard.system.as_str(), heard.question.as_str()), ("You answer.", "Do you hear me?"));
    assert_eq!((heard.limit, heard.tools.len()), (Some(500), 2));
    // A failed tool is told as such, and an empty answer of a tool is one.
    let mut request = with_tools(question("look twice"));
    let asks = [("c1", json!({})), ("c2", json!({ "at": "b" }))];
    let asks = asks.map(|(id, input)| Part::ToolUse(ToolUse { id: id.to_owned(), name: "look".to_owned(), input }));
    request.messages.push(Message { role: Role::Assistant, parts: asks.to_vec() });
    let mut answers = results(&[("c1", "it is gone"), ("c2", "")]);
    if let Some(Part::ToolResult { is_error, .. }) = answers.parts.first_mut() {
        *is_error = true;
    }
    request.messages.push(answers);
    stage.answer(request).await;
    let heard = &stage.vendor.heard()[1];
    assert!(heard.results[0].1.contains("it is gone"), "{heard:?}");
    assert_eq!(heard.results.len(), 2);
}

pub(super) async fn pictures_are_sent(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.always(Exchange::text(&["I see"]));
    let picture = Image { media_type: "image/png".to_owned(), data: "iVBORw0KGgo=".to_owned() };
    let mut request = with_tools(question("look at this"));
    request.messages[0].parts.push(Part::Image(picture.clone()));
    let ask = ToolUse { id: "c1".to_owned(), name: "look".to_owned(), input: json!({}) };
    request.messages.push(Message { role: Role::Assistant, parts: vec![Part::ToolUse(ask)] });
    let (id, content) = ("c1".to_owned(), "the moon".to_owned());
    let seen = Part::ToolResult { id, content, is_error: false, images: vec![picture] };
    request.messages.push(Message { role: Role::User, parts: vec![seen] });
    // Who takes no pictures is asked all the same, without them.
    assert_eq!(stage.answer(request).await.text(), "I see");
    let heard = &stage.vendor.heard()[0];
    assert_eq!(heard.pictures, if subject.pictures { 2 } else { 0 });
    assert!(heard.results[0].1.contains("the moon"));
}

pub(super) async fn a_form_is_asked_for(subject: &Subject) {
    let stage = subject.stage().await;
    stage.vendor.always(Exchange::text(&["{\"mood\":\"good\"}"]));
    let schema = json!({
        "type": "object", "properties": { "mood": { "type": "string" } },
        "required": ["mood"], "additionalProperties": false,
    });
    let mut request = question("How are you?");
    request.output = Some(OutputForm { name: "mood".to_owned(), schema: schema.clone() });
    assert_eq!(stage.answer(request).await.text(), "{\"mood\":\"good\"}");
    assert_eq!(stage.vendor.heard()[0].schema, subject.forms.then_some(schema));
}

pub(super) async fn a_slow_answer_is_an_answer(subject: &Subject) {
    let stage = subject.stage().await;
    let pieces = ["s"; 16];
    // In all it takes longer than the provider may be silent.
    stage.vendor.then(Exchange::text(&pieces).dripping(Duration::from_millis(150)));
    let mut request = question("hi");
    request.silence = Duration::from_secs(2);
    assert_eq!(stage.answer(request).await.text(), "s".repeat(16));
    assert_eq!(stage.vendor.attempts(), 1);
}

fn tool(id: &str, name: &str, arguments: &str) -> Block {
    Block::Tool { id: id.to_owned(), name: name.to_owned(), arguments: vec![arguments.to_owned()] }
}

fn results(answers: &[(&str, &str)]) -> Message {
    let part = |(id, content): &(&str, &str)| Part::ToolResult {
        id: (*id).to_owned(),
        content: (*content).to_owned(),
        is_error: false,
        images: Vec::new(),
    };
    Message { role: Role::User, parts: answers.iter().map(part).collect() }
}

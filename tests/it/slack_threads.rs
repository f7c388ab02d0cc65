//! What somebody in a Slack thread sees while agents work: words as they come, a Stop that stops, and the questions of agents
//! that another agent has asked.

use kit::{
    model::{Gate, Reply},
    node::Node,
    slack::{Received, Slack},
    wait,
};
use serde_json::{Value, json};

use crate::{
    cast::{SOON, agent},
    stand::{Stand, on_both},
};

const TS: &str = "1700000000.000900";
const HEARS: &str = "subscriptions: [slack.events.app_mention.*]";

on_both! {
    stop_ends_what_is_being_said_and_says_so
    an_agent_that_was_asked_by_another_asks_the_person
    killed_while_it_speaks_the_answer_comes_once
}

async fn launch(slack: &Slack, stand: &Stand) -> Node {
    stand.launch().env("GREENROOM_NODE", "only").envs(slack.environment()).start().await
}

/// What was given of one method of those that are no messages, in order.
fn given(slack: &Slack, method: &str) -> Vec<Value> {
    let path = format!("/api/{method}");
    slack.signs().into_iter().filter(|sign| sign.path == path).map(|sign| sign.body).collect()
}

async fn seen<T>(what: &str, look: impl AsyncFn() -> Result<T, String>) -> T {
    wait::seen(what, SOON, look).await
}

/// The `n`-th streamed message has begun, counted from 1.
async fn stream(slack: &Slack, n: usize) -> Value {
    seen(&format!("stream {n} to begin"), async || {
        given(slack, "chat.startStream").into_iter().nth(n - 1).ok_or_else(|| format!("{:#?}", slack.signs()))
    })
    .await
}

/// Waits until so much was shown, in order and nothing of it twice, over however many messages.
async fn said(slack: &Slack, wanted: &str) {
    let shown = seen("the words to be shown", async || {
        let shows =
            |sign: &&Received| sign.path.ends_with("chat.startStream") || sign.path.ends_with("chat.appendStream");
        let signs = slack.signs();
        let said: String = signs.iter().filter(shows).filter_map(|sign| sign.body["markdown_text"].as_str()).collect();
        if said.len() >= wanted.len() { Ok(said) } else { Err(format!("{} of {}", said.len(), wanted.len())) }
    })
    .await;
    assert!(shown == wanted, "it was shown in order, and nothing twice");
}

async fn status_is(slack: &Slack, wanted: &str) {
    seen(&format!("the thread to show {wanted}"), async || {
        let shown = given(slack, "agents.sessions.setStatus");
        let last = shown.last().map(|body| body["status"].clone());
        if last == Some(json!(wanted)) { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
}

async fn stop_ends_what_is_being_said_and_says_so(stand: Stand) {
    let (slack, gate) = (Slack::start().await, Gate::closed());
    stand.home.agent("clerk", &agent("clerk", &stand.model, HEARS));
    stand.model.then(Reply::text("Let me think about that for a while").paused_after(3, &gate));
    let node = launch(&slack, &stand).await;
    slack.mention(&node, "<@UBOT> think", TS, "Ev1").await.expect(200);
    let begun = stream(&slack, 1).await;
    assert_eq!(begun["thread_ts"], TS);
    // On a slow machine the first look may come between two words.
    assert!("Let me think ".starts_with(begun["markdown_text"].as_str().unwrap_or("nothing")), "{begun}");
    let execution = node.executions("clerk").await.remove(0);
    let id = execution["execution_id"].as_str().unwrap_or_default();

    slack.stop(&node, "1700000000.000111", "Ev2").await.expect(200);
    assert_eq!(node.executions("clerk").await[0]["status"], "running", "another thread's Stop is not meant");
    slack.stop(&node, TS, "Ev3").await.expect(200);
    node.execution_is(id, &["cancelled"], SOON).await;
    let told = slack.reply(1, SOON).await;
    assert_eq!((told.path.as_str(), told.body["thread_ts"].as_str()), ("/api/chat.postMessage", Some(TS)));
    assert_eq!(told.text(), "This was stopped before it was done.");
    seen("the preview to go", async || {
        let gone = given(&slack, "chat.delete");
        if gone.len() == 1 { Ok(()) } else { Err(format!("{:#?}", slack.signs())) }
    })
    .await;
    status_is(&slack, "active").await;

    // Pressed again, and the model speaks on: nothing comes of either.
    slack.stop(&node, TS, "Ev4").await.expect(200);
    gate.open();
    assert!(node.stop().await.success());
    let received: Vec<String> = slack.received().iter().map(Received::text).collect();
    assert_eq!(received, ["This was stopped before it was done."]);
    assert_eq!(stand.model.calls(), 1);
}

async fn killed_while_it_speaks_the_answer_comes_once(stand: Stand) {
    let (slack, gate) = (Slack::start().await, Gate::closed());
    stand.home.agent("clerk", &agent("clerk", &stand.model, HEARS));
    stand.model.then(Reply::text("Let me think about that").paused_after(3, &gate));
    stand.model.rule(|_| Reply::text("Let me think about that"));
    let node = launch(&slack, &stand).await;
    slack.mention(&node, "<@UBOT> think", TS, "Ev1").await.expect(200);
    stream(&slack, 1).await;
    node.kill9().await;

    let node = launch(&slack, &stand).await;
    let answer = slack.reply(1, SOON).await;
    assert_eq!((answer.body["thread_ts"].as_str(), answer.text().as_str()), (Some(TS), "Let me think about that"));
    status_is(&slack, "active").await;
    // The call in flight is made again, and nothing else.
    assert_eq!((stand.model.calls(), node.executions("clerk").await.len()), (2, 1));
    // The new process does not know the old one's preview: a Stop finds nothing at work and says nothing.
    slack.stop(&node, TS, "Ev2").await.expect(200);
    assert!(node.stop().await.success());
    assert_eq!(slack.received().len(), 1);
}

async fn an_agent_that_was_asked_by_another_asks_the_person(stand: Stand) {
    let (slack, home, model) = (Slack::start().await, &stand.home, &stand.model);
    let asks = "tools: [{builtin: ask_agent, agents: [clerk]}]";
    home.agent("chief", &agent("chief", model, &format!("{HEARS}\n{asks}")));
    home.agent("clerk", &agent("clerk", model, "tools: [{builtin: ask_human}]"));
    model.rule(|asked| match (asked.turn(), asked.question().as_str()) {
        (0, "Is it settled?") => {
            Reply::tool("ask_human", json!({ "question": "Which way?", "options": ["Left", "Right"] }))
        }
        (0, _) => Reply::tool("ask_agent", json!({ "agent": "clerk", "question": "Is it settled?" })),
        (_, "Is it settled?") => Reply::text(format!("{} it is", asked.tool_results().join(", "))),
        _ => Reply::text(format!("The clerk says: {}", asked.tool_results().join(", "))),
    });
    let node = launch(&slack, &stand).await;
    slack.mention(&node, "<@UBOT> decide", TS, "Ev1").await.expect(200);
    let card = slack.reply(1, SOON).await;
    assert_eq!((card.body["thread_ts"].as_str(), card.text().contains("Which way?")), (Some(TS), true));
    status_is(&slack, "suspended").await;

    // The question is for who began all this, and for nobody else.
    let (_, path) = slack.press(&node, "U2", 1, &card.buttons()[1]).await;
    assert_eq!(slack.told(&path, SOON).await["text"], "Only <@U1> may answer this.");
    slack.press(&node, "U1", 1, &card.buttons()[1]).await;
    let answer = seen("the answer", async || {
        let posts = slack.received();
        let answer = posts.iter().find(|post| post.text().contains("The clerk says"));
        answer.cloned().ok_or_else(|| format!("{posts:#?}"))
    })
    .await;
    assert_eq!((answer.body["thread_ts"].as_str(), answer.text().as_str()), (Some(TS), "The clerk says: Right it is"));
    status_is(&slack, "active").await;
    assert!(node.stop().await.success());
    let card_shows = slack.received().into_iter().rfind(|post| post.path == "/api/chat.update");
    let card_shows = card_shows.map(|post| post.text()).unwrap_or_default();
    assert!(card_shows.contains("*Right* · answered by <@U1>"), "{card_shows}");
    assert_eq!(slack.received().iter().filter(|post| post.path == "/api/chat.postMessage").count(), 2);
}

#[tokio::test]
async fn what_the_model_says_grows_in_the_thread_rolls_over_and_gives_way_to_the_answer() {
    let stand = Stand::embedded().await;
    let (slack, first, second) = (Slack::start().await, Gate::closed(), Gate::closed());
    stand.home.agent("clerk", &agent("clerk", &stand.model, HEARS));
    // Two parts that do not fit into one message of Slack's together.
    let text: String = (0..1_600).map(|n| format!("number-{n:04} ")).collect();
    let told = Reply::text(text.clone()).paused_after(800, &first).paused_after(1_600, &second);
    stand.model.then(told);
    let node = launch(&slack, &stand).await;
    slack.mention(&node, "<@UBOT> count", TS, "Ev1").await.expect(200);
    let begun = stream(&slack, 1).await;
    assert_eq!((&begun["recipient_user_id"], &begun["recipient_team_id"]), (&json!("U1"), &json!("T1")));
    said(&slack, &text[..text.len() / 2]).await;
    first.open();
    stream(&slack, 2).await;
    said(&slack, &text).await;
    let full = given(&slack, "chat.stopStream");
    assert_eq!(full.len(), 1, "the first message is closed before the second begins");
    assert!(slack.received().is_empty(), "a preview is no answer");

    second.open();
    slack.reply(2, SOON).await;
    seen("both previews to go", async || {
        let gone = given(&slack, "chat.delete").len();
        if gone == 2 { Ok(()) } else { Err(format!("{gone} went")) }
    })
    .await;
    assert!(node.stop().await.success());
    let answered: String = slack.received().iter().map(Received::text).collect();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&answered.replace("number", " number")), words(&text), "the answer is whole, in two messages");
}

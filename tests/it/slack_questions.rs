//! A conversation in Slack with a question in it: mention, card in the thread, a click by somebody who may not, a click by
//! who may, the answer. On both backends, and with the node killed between any two steps.

use kit::{
    model::{ModelServer, Reply},
    node::{Home, Launch, Node},
    servers::{Backends, shared},
    slack::{Received, Slack},
    wait,
};
use serde_json::{Value, json};

use crate::cast::{SOON, agent};

const TS: &str = "1700000000.000900";

struct Stand {
    home: Home,
    model: ModelServer,
    slack: Slack,
    backends: Option<Backends>,
}

impl Stand {
    async fn new(backends: Option<Backends>) -> Self {
        let stand =
            Self { home: Home::new(), model: ModelServer::start().await, slack: Slack::start().await, backends };
        let more = "subscriptions: [slack.events.app_mention.*, slack.events.thread.*]\ntools: [{builtin: ask_human}]";
        stand.home.agent("clerk", &agent("clerk", &stand.model, more));
        stand.model.rule(|asked| match asked.turn() {
            0 => Reply::tool("ask_human", json!({ "question": "Ship **it**?", "options": ["Ship", "Wait"] })),
            _ => Reply::text(format!("Done: {}", asked.tool_results().join(", "))),
        });
        stand
    }

    fn launch(&self) -> Launch<'_> {
        let variables = self.backends.iter().flat_map(Backends::variables);
        let launch = self.home.launch().envs(variables).envs(self.slack.environment());
        launch.env("GREENROOM_NODE", "only").env("GREENROOM_CRASH_FILE", self.trap().display().to_string())
    }

    fn trap(&self) -> std::path::PathBuf {
        self.home.path().join("trap")
    }

    /// Somebody mentions the app; a node that dies of it does not answer.
    async fn mention(&self, node: &Node) -> Option<u16> {
        let request = self.slack.mention_to(node, "<@UBOT> ship it", TS, "Ev1", "4bf92f3577b34da6a3ce929d0e0e4736");
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// The posts that were made with these words in them, with their numbers, counted from 1.
    fn posts(&self, words: &str) -> Vec<(usize, Received)> {
        self.slack.posts(words)
    }

    async fn card(&self) -> (usize, Received) {
        wait::seen("the question to be in Slack", SOON, async || {
            let cards = self.posts("Ship *it*?");
            cards.into_iter().next().ok_or_else(|| format!("{:#?}", self.slack.received()))
        })
        .await
    }

    async fn answer(&self) -> Received {
        wait::seen("the answer to be in Slack", SOON, async || {
            let answers = self.posts("Done:");
            answers.into_iter().next().map(|(_, post)| post).ok_or_else(|| format!("{:#?}", self.slack.received()))
        })
        .await
    }

    /// What the card of post `n` shows at last.
    async fn card_shows(&self, n: usize, words: &str) {
        wait::seen(&format!("the card to show {words:?}"), SOON, async || {
            let last = self.slack.updates(n).pop().ok_or("it was not changed")?;
            let is_closed = last.buttons().is_empty() && last.text().contains(words);
            if is_closed { Ok(()) } else { Err(format!("{:#?}", last.body)) }
        })
        .await;
    }

    /// What somebody was told who clicked.
    async fn told(&self, path: &str) -> Value {
        self.slack.told(path, SOON).await
    }

    /// All places of a way; on servers, where each takes ten seconds and the way is the same, every other one.
    fn some_of<T>(&self, places: impl IntoIterator<Item = T>) -> Vec<T> {
        places.into_iter().step_by(if self.backends.is_some() { 2 } else { 1 }).collect()
    }

    async fn questions(&self, node: &Node, status: &str) -> Vec<Value> {
        let list = node.get(&format!("/v1/clarifications?status={status}")).await.expect(200).json;
        list["items"].as_array().cloned().unwrap_or_default()
    }
}

macro_rules! on_both {
    ($($story:ident)*) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                super::$story(super::Stand::new(None).await).await;
            })*
        }
        mod cluster {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                let backends = super::shared().backends().await;
                super::$story(super::Stand::new(Some(backends)).await).await;
            })*
        }
    };
}

on_both! {
    a_question_is_a_card_and_only_who_asked_may_click
    a_card_shows_an_answer_that_came_by_http
    a_card_shows_that_what_asked_was_cancelled
    killed_before_the_card_stands_nothing_is_lost
    killed_after_the_click_nothing_is_lost
}

async fn a_question_is_a_card_and_only_who_asked_may_click(stand: Stand) {
    let node = stand.launch().start().await;
    assert_eq!(stand.mention(&node).await, Some(200));
    let (n, card) = stand.card().await;
    assert_eq!(card.body["thread_ts"], TS, "in the thread");
    let buttons = card.buttons();
    assert_eq!(buttons.len(), 2);

    // Somebody else.
    let (answered, path) = stand.slack.press(&node, "U2", n, &buttons[0]).await;
    answered.unwrap_or_else(|| panic!("no answer")).expect(200);
    let told = stand.told(&path).await;
    assert_eq!((&told["response_type"], &told["text"]), (&json!("ephemeral"), &json!("Only <@U1> may answer this.")));
    assert_eq!(stand.questions(&node, "open").await.len(), 1, "it changed nothing");

    // Who asked.
    let (answered, path) = stand.slack.press(&node, "U1", n, &buttons[0]).await;
    answered.unwrap_or_else(|| panic!("no answer")).expect(200);
    let told = stand.told(&path).await;
    assert_eq!(told["replace_original"], true, "the buttons go at once");
    assert!(!told["blocks"].to_string().contains("button"));
    let answer = stand.answer().await;
    assert_eq!((answer.body["thread_ts"].as_str(), answer.text().as_str()), (Some(TS), "Done: Ship"));
    stand.card_shows(n, "*Ship* · answered by <@U1>").await;
    let answered = stand.questions(&node, "answered").await;
    assert_eq!(answered[0]["answered_by"], "slack:T1:U1");
    let shown = node.get("/v1/clarifications").await.expect(200).text;
    assert!(!shown.contains("reply_to") && !shown.contains("cards"), "{shown}");

    // Too late.
    let (_, path) = stand.slack.press(&node, "U1", n, &buttons[1]).await;
    let told = stand.told(&path).await;
    assert!(told["text"].as_str().unwrap_or_default().contains("*Ship* · answered by <@U1>"), "{told}");
    let signs: Vec<String> = stand.slack.signs().iter().map(|sign| sign.body["status"].to_string()).collect();
    assert!(signs.contains(&"\"processing\"".to_owned()) && signs.contains(&"\"suspended\"".to_owned()), "{signs:?}");
    assert_eq!(signs.last().map(String::as_str), Some("\"active\""), "{signs:?}");
    assert_eq!(stand.model.calls(), 2);
    assert_eq!((stand.posts("Ship *it*?").len(), stand.posts("Done:").len()), (1, 1));
    assert!(node.stop().await.success());
}

async fn a_card_shows_an_answer_that_came_by_http(stand: Stand) {
    let node = stand.launch().start().await;
    stand.mention(&node).await;
    let (n, _) = stand.card().await;
    let question = stand.questions(&node, "open").await.remove(0);
    let id = question["clarification_id"].as_str().unwrap_or_default();
    let body = json!({ "answer": "Wait", "by": "ann" });
    node.post(&format!("/v1/clarifications/{id}/answer"), &body).await.expect(200);
    stand.card_shows(n, "*Wait* · answered by ann").await;
    assert_eq!(stand.answer().await.text(), "Done: Wait");
    assert!(node.stop().await.success());
}

async fn a_card_shows_that_what_asked_was_cancelled(stand: Stand) {
    let node = stand.launch().start().await;
    stand.mention(&node).await;
    let (n, card) = stand.card().await;
    let execution = node.executions("clerk").await.remove(0);
    let id = execution["execution_id"].as_str().unwrap_or_default();
    node.post(&format!("/v1/executions/{id}/cancel"), &json!({})).await.expect(200);
    stand.card_shows(n, "cancelled").await;
    let (_, path) = stand.slack.press(&node, "U1", n, &card.buttons()[0]).await;
    let told = stand.told(&path).await;
    assert!(told["text"].as_str().unwrap_or_default().contains("cancelled"), "{told}");
    assert!(node.stop().await.success());
}

/// Plays a part of the story in which the node dies at `place`, and gives back the node that came after it.
async fn dies(stand: &Stand, mut node: Node, place: &str, part: impl AsyncFn(&Node)) -> Node {
    std::fs::write(stand.trap(), place).unwrap_or_else(|error| panic!("{error}"));
    part(&node).await;
    let ended = node.process.exit(SOON).await;
    assert!(!ended.success(), "{place}");
    drop(node);
    std::fs::remove_file(stand.trap()).unwrap_or_else(|error| panic!("{error}"));
    node = stand.launch().start().await;
    // Slack sends again what nobody acknowledged, and what was acknowledged changes nothing.
    part(&node).await;
    node
}

/// The answer comes, however the node died: of one execution, after at most so many calls of the model, and the card shows its end.
async fn ends_well(stand: &Stand, node: Node, place: &str, calls: usize) {
    assert_eq!(stand.answer().await.text(), "Done: Ship", "{place}");
    let executions = node.executions("clerk").await;
    assert_eq!(executions.len(), 1, "{place}: {executions:#?}");
    assert!((2..=calls).contains(&stand.model.calls()), "{place}: {} calls of the model", stand.model.calls());
    let (n, _) = stand.posts("Ship *it*?").pop().unwrap_or_else(|| panic!("{place}: no card"));
    stand.card_shows(n, "*Ship* · answered by <@U1>").await;
    assert!(node.stop().await.success(), "{place}");
}

async fn killed_before_the_card_stands_nothing_is_lost(mut stand: Stand) {
    // Between a post and its being written down nobody can know of it: then there are two, and both work.
    for (place, cards) in stand.some_of([
        ("before door 1 slack", 1),
        ("after door 1 slack", 1),
        ("after inbox 1 clerk", 1),
        ("after settle 1 seq 0", 1),
        ("before commit 1 waiting", 1),
        ("after commit 1 waiting", 1),
        ("before reply 1 slack", 1),
        ("before card 1", 2),
        ("after card 1", 1),
        ("after reply 1 slack", 1),
    ]) {
        let node = stand.launch().start().await;
        let node = dies(&stand, node, place, async |node| {
            stand.mention(node).await;
        })
        .await;
        let (_, card) = stand.card().await;
        wait::seen("the card to be known", SOON, async || {
            let posts = stand.posts("Ship *it*?").len();
            if posts == cards { Ok(()) } else { Err(format!("{place}: {posts} cards")) }
        })
        .await;
        // The oldest card works, too, of which the store may know nothing.
        stand.slack.press(&node, "U1", stand.posts("Ship *it*?")[0].0, &card.buttons()[0]).await;
        ends_well(&stand, node, place, 2).await;
        for (n, _) in stand.posts("Ship *it*?") {
            stand.card_shows(n, "answered by <@U1>").await;
        }
        assert_eq!((stand.posts("Ship *it*?").len(), stand.posts("Done:").len()), (cards, 1), "{place}");
        stand = again(stand).await;
    }
}

async fn killed_after_the_click_nothing_is_lost(mut stand: Stand) {
    // Slack has no key by which it would know an answer that it has already: what was posted and not marked is posted again.
    // A call of the model that was in flight is made again.
    for (place, answers, calls) in stand.some_of([
        ("before answer 1", 1, 2),
        ("after answer 1", 1, 2),
        ("before reply 1 slack", 1, 3),
        ("after reply 1 slack", 1, 3),
        ("before intend 1 llm", 1, 2),
        ("before call 1 llm", 1, 2),
        ("after call 1 llm", 1, 3),
        ("before commit 1 succeeded", 1, 3),
        ("after commit 1 succeeded", 1, 2),
        ("before reply 2 slack", 1, 2),
        ("after reply 2 slack", 2, 2),
    ]) {
        let node = stand.launch().start().await;
        stand.mention(&node).await;
        let (n, card) = stand.card().await;
        let button = &card.buttons()[0];
        outbox_is_empty(&node).await;
        let node = dies(&stand, node, place, async |node| {
            stand.slack.press(node, "U1", n, button).await;
        })
        .await;
        ends_well(&stand, node, place, calls).await;
        let posts = (stand.posts("Ship *it*?").len(), stand.posts("Done:").len());
        assert_eq!(posts, (1, answers), "{place}");
        stand = again(stand).await;
    }
}

/// The next place of the story: another home on the same backends would meet the old one's agents, so all is new.
async fn again(stand: Stand) -> Stand {
    let is_cluster = stand.backends.is_some();
    drop(stand);
    Stand::new(if is_cluster { Some(shared().backends().await) } else { None }).await
}

/// The card was marked as delivered: what is killed now is what comes of the click.
async fn outbox_is_empty(node: &Node) {
    wait::seen("the outbox to be empty", SOON, async || {
        let trace = node.get("/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736").await.json;
        let pending = trace["pending"].as_array().map_or(0, Vec::len);
        if pending == 0 { Ok(()) } else { Err(trace) }
    })
    .await;
}

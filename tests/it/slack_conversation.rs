//! The whole of a conversation in Slack: mention, status, words as they come, a card, a click by somebody who may not, a click by
//! who may, the answer. Then all of it again, with every process killed between any two of these.

use futures::future::join_all;
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

on_both! {
    a_conversation_outlives_every_process_between_any_two_of_its_steps
}

/// After which of the seven steps everything is killed. Three deaths under one call of the model would be poison, so that
/// neighbours are in different conversations.
const KILLS: [&[usize]; 3] = [&[], &[1, 3, 5, 7], &[2, 4, 6]];

async fn a_conversation_outlives_every_process_between_any_two_of_its_steps(stand: Stand) {
    let slack = Slack::start().await;
    let more = "subscriptions: [slack.events.app_mention.*]\ntools: [{builtin: ask_human}]";
    stand.home.agent("clerk", &agent("clerk", &stand.model, more));
    let mut nodes = start(&stand, &slack).await;
    for (number, kills) in (1..).zip(KILLS) {
        let talk = Talk { stand: &stand, slack: &slack, number, kills };
        nodes = talk.play(nodes).await;
    }
    for stopped in join_all(nodes.into_iter().map(Node::stop)).await {
        assert!(stopped.success());
    }
    // Whatever was killed, nothing was said again afterwards.
    for number in 1..=KILLS.len() {
        let talk = Talk { stand: &stand, slack: &slack, number, kills: &[] };
        assert_eq!((talk.posts("Ship *it*?").len(), talk.posts("Done:").len()), (1, 1), "conversation {number}");
    }
}

/// All processes, the door first: on one machine there is one, on servers the door has none of the work.
async fn start(stand: &Stand, slack: &Slack) -> Vec<Node> {
    if !stand.is_cluster() {
        return vec![stand.launch().env("GREENROOM_NODE", "only").envs(slack.environment()).start().await];
    }
    join_all([("door", "gateway,orchestrator,scheduler"), ("pool", "autonomous")].map(|(name, roles)| {
        let launch = stand.launch().data(stand.home.path().join(format!("data-{name}")));
        launch.env("GREENROOM_NODE", name).envs(slack.environment()).verb(&["node", "--role", roles]).begin()
    }))
    .await
}

/// One conversation, in a thread of its own.
struct Talk<'a> {
    stand: &'a Stand,
    slack: &'a Slack,
    number: usize,
    kills: &'a [usize],
}

impl Talk<'_> {
    async fn play(&self, nodes: Vec<Node>) -> Vec<Node> {
        let (slack, gate, calls) = (self.slack, Gate::closed(), self.stand.model.calls());
        let held = gate.clone();
        self.stand.model.rule(move |asked| match asked.turn() {
            0 => {
                let ask = json!({ "question": "Ship **it**?", "options": ["Ship", "Wait"] });
                Reply::tool("ask_human", ask).saying("Let me look at it first.").paused_after(3, &held)
            }
            _ => Reply::text(format!("Done: {}", asked.tool_results().join(", "))),
        });
        let text = format!("<@UBOT> ship {}", self.number);
        let request = slack.mention_to(&nodes[0], &text, &self.ts(), &format!("Ev{}", self.number), &self.trace());
        assert_eq!(request.send().await.map(|answer| answer.status().as_u16()).ok(), Some(200));
        let nodes = self.after(1, nodes).await;

        self.status_is("processing").await;
        let nodes = self.after(2, nodes).await;

        self.seen("words to be in the thread", || self.given("chat.startStream").pop()).await;
        let nodes = self.after(3, nodes).await;

        gate.open();
        let (n, card) = self.seen("the card", || self.posts("Ship *it*?").pop()).await;
        self.status_is("suspended").await;
        // Between a post and its being written down nobody can know of it (`slack_questions` kills there).
        self.is_written_down(&nodes[0]).await;
        let nodes = self.after(4, nodes).await;

        let (answered, path) = slack.press(&nodes[0], "U2", n, &card.buttons()[0]).await;
        assert_eq!(answered.map(|answer| answer.status), Some(200));
        assert_eq!(slack.told(&path, SOON).await["text"], "Only <@U1> may answer this.");
        let nodes = self.after(5, nodes).await;

        let (answered, path) = slack.press(&nodes[0], "U1", n, &card.buttons()[0]).await;
        assert_eq!(answered.map(|answer| answer.status), Some(200));
        assert_eq!(slack.told(&path, SOON).await["replace_original"], true);
        let nodes = self.after(6, nodes).await;

        let (_, answer) = self.seen("the answer", || self.posts("Done:").pop()).await;
        assert_eq!(answer.text(), "Done: Ship");
        // A status is a hint: where the work ended with the process that was to say so, Slack takes it back by itself.
        if !self.kills.contains(&6) {
            self.status_is("active").await;
        }
        let closed = |post: &Received| post.buttons().is_empty() && post.text().contains("*Ship* · answered by <@U1>");
        self.seen("the card to be closed", || slack.updates(n).pop().filter(closed)).await;
        self.is_written_down(&nodes[0]).await;
        let nodes = self.after(7, nodes).await;

        let made = nodes[0].executions("clerk").await;
        let statuses: Vec<_> = made.iter().map(|execution| &execution["status"]).collect();
        assert_eq!(statuses, vec!["succeeded"; self.number], "one execution for each conversation");
        // A death interrupts one call at most, which is made again.
        let calls = self.stand.model.calls() - calls;
        assert!((2..=2 + self.kills.len()).contains(&calls), "{calls} calls of the model");
        nodes
    }

    /// The step is done: if it is one of those, everything dies at once, and comes back.
    async fn after(&self, step: usize, nodes: Vec<Node>) -> Vec<Node> {
        if !self.kills.contains(&step) {
            return nodes;
        }
        join_all(nodes.into_iter().map(Node::kill9)).await;
        start(self.stand, self.slack).await
    }

    fn ts(&self) -> String {
        format!("1700000000.{:06}", 900 + self.number)
    }

    fn trace(&self) -> String {
        format!("{:032x}", 0x4bf9_0000 + self.number)
    }

    /// The messages of the thread with these words in them, with their numbers.
    fn posts(&self, words: &str) -> Vec<(usize, Received)> {
        let posts = self.slack.posts(words).into_iter();
        posts.filter(|(_, post)| post.body["thread_ts"] == self.ts()).collect()
    }

    /// What the thread was given of a method of those that are no messages, in order.
    fn given(&self, method: &str) -> Vec<Value> {
        let path = format!("/api/{method}");
        let signs = self.slack.signs().into_iter().filter(|sign| sign.path == path).map(|sign| sign.body);
        signs.filter(|body| body["thread_ts"] == self.ts()).collect()
    }

    async fn status_is(&self, wanted: &str) {
        let last = || self.given("agents.sessions.setStatus").pop().filter(|body| body["status"] == wanted);
        self.seen(&format!("the thread to show {wanted}"), last).await;
    }

    async fn is_written_down(&self, node: &Node) {
        wait::until("the outbox to be empty", SOON, async || {
            let trace = node.get(&format!("/v1/traces/{}", self.trace())).await.json;
            trace["pending"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    }

    async fn seen<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        wait::seen(&format!("conversation {}: {what}", self.number), SOON, async || {
            look().ok_or_else(|| format!("{:#?}\n{:#?}", self.slack.received(), self.slack.signs()))
        })
        .await
    }
}

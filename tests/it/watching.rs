//! Watching: the tree as it changes, over HTTP, in a terminal, and as events for agents.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use kit::{
    node::{Home, Node},
    wait,
};

use crate::cast::{SOON, saying, scripted};

const QUICK: &str = "limits: {max_attempts: 1}\n\
    supervision: {failures_before_restart: 1, max_restarts: 99, backoff: {min: 10ms, max: 20ms}}";
const MOODS: &str = r#"[{when: boom, panic: "the kit made me panic"}, {reply: "well"}]"#;

/// What a stopping node gives its work. One that waits for nobody is gone before that, on the busiest machine.
const GRACE: Duration = Duration::from_secs(30);

/// The events of a stream, one after the other.
struct Stream {
    response: reqwest::Response,
    arrived: String,
}

impl Stream {
    async fn open(node: &Node) -> Self {
        let response = match node.request("GET", "/v1/tree/stream").send().await {
            Ok(response) if response.status() == 200 => response,
            other => panic!("the tree cannot be followed: {other:?}"),
        };
        Self { response, arrived: String::new() }
    }

    /// The next event's name and data; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.arrived.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
                let name = field("event:").map(str::to_owned);
                let data = field("data:").and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
                self.arrived = rest.to_owned();
                match name {
                    Some(name) => return Some((name, data)),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(SOON, self.response.chunk()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("nothing came for {SOON:?}; before: {:?}", self.arrived));
            self.arrived.push_str(&String::from_utf8_lossy(&chunk.ok()??));
        }
    }
}

#[tokio::test]
async fn who_follows_the_tree_sees_a_restart_and_does_not_hold_up_a_stop() {
    let home = Home::new();
    home.agent("moody", &scripted("moody", MOODS, QUICK));
    let mut node = home.launch().start().await;
    let mut stream = Stream::open(&node).await;
    let (name, whole) = stream.next().await.unwrap_or_default();
    assert_eq!(name, "snapshot");
    assert_eq!(whole["nodes"][0]["root"]["kind"], "node", "{whole}");

    node.ask("moody", "boom").await;
    let restarted = loop {
        let Some((name, data)) = stream.next().await else { panic!("the stream has ended") };
        if name == "restarted" && data["path"] == "agents/moody/0" {
            break data;
        }
    };
    assert_eq!(restarted["place"]["failures"][0]["code"], "panicked", "{restarted}");

    let asked = Instant::now();
    node.process.terminate();
    while stream.next().await.is_some() {}
    assert!(asked.elapsed() < GRACE, "the stream ended after {:?}", asked.elapsed());
    assert!(node.process.exit(SOON).await.success());
    assert!(asked.elapsed() < GRACE, "the stop took {:?}", asked.elapsed());
}

#[tokio::test]
async fn an_agent_hears_of_the_others_and_never_of_itself() {
    let home = Home::new();
    let topics = "subscriptions: [cluster.lifecycle.restarted, cluster.lifecycle.failed, cluster.lifecycle.paused]";
    // It fails at whatever it hears: if it heard of that too, it would go on for ever.
    let clumsy = scripted("clumsy", r#"[{error: "what did I hear?"}]"#, &format!("{topics}\n{QUICK}"));
    home.agent("clumsy", &clumsy)
        .agent("moody", &scripted("moody", MOODS, QUICK))
        .agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let heard = async |many: usize| -> Vec<Value> {
        wait::seen(&format!("clumsy to have heard and ended {many} times"), SOON, async || {
            let executions = node.executions("clumsy").await;
            let ended = |execution: &Value| ["failed", "dead"].iter().any(|status| execution["status"] == *status);
            if executions.len() >= many && executions.iter().all(ended) {
                Ok(executions)
            } else {
                Err(json!(executions))
            }
        })
        .await
    };

    node.post("/v1/agents/calm/pause", &json!({})).await.expect(200);
    heard(1).await;
    node.post("/v1/agents/calm/resume", &json!({})).await.expect(200);
    node.agent_is("calm", &["idle"], SOON).await;
    node.post("/v1/agents/calm/pause", &json!({})).await.expect(200);
    let executions = heard(2).await;
    assert_eq!(executions.len(), 2, "{executions:?}");
    for execution in &executions {
        assert_eq!(execution["event_type"], "cluster.lifecycle.paused", "{execution}");
        assert_eq!(execution["input"]["agent"], "calm", "{execution}");
        assert_eq!(execution["input"]["status"], "paused", "{execution}");
    }

    node.ask("moody", "boom").await;
    let told = |executions: &[Value], topic: &str| -> Option<Value> {
        executions.iter().find(|execution| execution["event_type"] == topic).cloned()
    };
    let restarted = wait::seen("clumsy to hear of the restart", SOON, async || {
        let executions = node.executions("clumsy").await;
        told(&executions, "cluster.lifecycle.restarted").ok_or_else(|| json!(executions))
    })
    .await;
    assert_eq!(restarted["input"]["agent"], "moody", "{restarted}");
    let about = node.executions("clumsy").await.into_iter().map(|execution| execution["input"]["agent"].clone());
    assert!(about.clone().all(|agent| agent != "clumsy"), "{:?}", about.collect::<Vec<_>>());
    assert_eq!(restarted["input"]["cause"]["code"], "panicked", "{restarted}");
}

#[tokio::test]
async fn a_watched_tree_is_printed_with_each_change_until_it_is_interrupted() {
    let home = Home::new();
    home.agent("calm", &saying("calm", "calm"));
    let node = home.launch().start().await;
    let mut watch =
        home.launch().env("GREENROOM_HTTP_ADDR", &node.address).spawn(&["tree", "--watch", "--kind", "agent"]);
    let printed = async |word: &str| {
        wait::seen(&format!("{word} to be printed"), SOON, async || {
            let printed = watch.stdout();
            if printed.contains(word) { Ok(()) } else { Err(printed) }
        })
        .await;
    };
    printed("○ idle").await;
    node.post("/v1/agents/calm/pause", &json!({})).await.expect(200);
    printed("‖ paused").await;
    assert!(!watch.stdout().contains('\u{1b}'), "no terminal, no codes");
    assert!(!watch.stdout().contains("relay"), "only agents and what is above them");
    watch.interrupt();
    assert_eq!(watch.exit(SOON).await.code(), Some(0), "{}", watch.output());
}

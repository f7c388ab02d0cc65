//! A running node, asked over HTTP.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::Process;
use crate::{
    http::{self, Answer},
    wait,
};

/// Longer than a graceful stop may take.
const STOP_LIMIT: Duration = wait::PATIENCE;

/// A running node. Killed when it is dropped.
#[derive(Debug)]
pub struct Node {
    /// Where it listens, for example `127.0.0.1:43121`.
    pub address: String,
    /// The home's folder.
    pub home: PathBuf,
    /// The child.
    pub process: Process,
    client: Client,
}

impl Node {
    pub(super) fn new(address: String, home: PathBuf, process: Process) -> Self {
        Self { address, home, process, client: http::client() }
    }

    /// A request to the node, to be completed.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        http::send(self.request("GET", path)).await
    }

    /// `GET`, where no answer is possible too.
    pub async fn try_get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        http::try_send(self.request("GET", path)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        http::send(self.request("POST", path).json(body)).await
    }

    /// `POST` with any body.
    pub async fn post_raw(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        http::send(self.request("POST", path).header("content-type", content_type).body(body)).await
    }

    /// Asks an agent and waits for its answer: the whole answer of `invoke`, with `output` and `steps`.
    pub async fn ask(&self, agent: &str, input: &str) -> Answer {
        self.post(&format!("/v1/agents/{agent}/invoke?wait=110s"), &json!({"input": input})).await.expect(200)
    }

    /// Gives an agent work without waiting. Returns the execution's id.
    pub async fn submit(&self, agent: &str, input: &str) -> String {
        let answer = self.post(&format!("/v1/agents/{agent}/invoke"), &json!({"input": input})).await.expect(202);
        answer.str("/execution_id")
    }

    /// An execution with its journal.
    pub async fn execution(&self, id: &str) -> Value {
        self.get(&format!("/v1/executions/{id}")).await.expect(200).json
    }

    /// Every execution of an agent, newest first, without journals.
    pub async fn executions(&self, agent: &str) -> Vec<Value> {
        let listed = self.get(&format!("/v1/executions?agent={agent}&limit=500")).await.expect(200);
        listed.json["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until an execution has one of these states, at most `limit`, and returns it with its journal.
    pub async fn execution_is(&self, id: &str, states: &[&str], limit: Duration) -> Value {
        wait::seen(&format!("execution {id} to be {}", states.join(" or ")), limit, async || {
            match self.try_get(&format!("/v1/executions/{id}")).await {
                Ok(answer) if states.iter().any(|state| answer.json["status"] == *state) => Ok(answer.json),
                Ok(answer) => Err(answer.text),
                Err(error) => Err(format!("{error:?}")),
            }
        })
        .await
    }

    /// An agent as the registry shows it; `null` when it is not there.
    pub async fn agent(&self, name: &str) -> Value {
        let answer = self.get(&format!("/v1/agents/{name}")).await;
        if answer.status == 200 { answer.json } else { Value::Null }
    }

    /// Waits until an agent has one of these states, at most `limit`.
    pub async fn agent_is(&self, name: &str, states: &[&str], limit: Duration) -> Value {
        wait::seen(&format!("agent {name} to be {}", states.join(" or ")), limit, async || {
            let agent = self.agent(name).await;
            if states.iter().any(|state| agent["status"] == *state) { Ok(agent) } else { Err(agent.to_string()) }
        })
        .await
    }

    /// Every place of the supervision tree that `wanted` picks, parents before children.
    pub async fn places(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let tree = self.get("/v1/tree").await.expect(200).json;
        let mut found = Vec::new();
        for node in tree["nodes"].as_array().into_iter().flatten() {
            collect(&node["root"], &wanted, &mut found);
        }
        found
    }

    /// The places of an agent in the supervision tree: the agent's own and everything under it.
    pub async fn places_of(&self, agent: &str) -> Vec<Value> {
        self.places(|place| place["id"].as_str().is_some_and(|id| id.split('/').any(|part| part == agent))).await
    }

    /// Stops the node in order (SIGTERM) and returns how it ended.
    pub async fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.exit(STOP_LIMIT).await
    }

    /// Kills the node as `kill -9` does.
    pub async fn kill9(mut self) {
        self.process.kill9().await;
    }
}

fn collect(place: &Value, wanted: &impl Fn(&Value) -> bool, found: &mut Vec<Value>) {
    if wanted(place) {
        found.push(place.clone());
    }
    for child in place["children"].as_array().into_iter().flatten() {
        collect(child, wanted, found);
    }
}

//! What Slack sends to a node.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{Slack, now, signature};
use crate::{
    http::{self, Answer, form},
    node::Node,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// A request that Slack made, with what the node said.
#[derive(Debug)]
pub struct Posted {
    /// The node's answer.
    pub answer: Answer,
    /// The path at which the fake Slack waits for the answer to this request.
    pub reply_path: String,
}

impl Slack {
    /// A person types `/command text`.
    pub async fn command(&self, node: &Node, command: &str, text: &str) -> Posted {
        let (response_url, reply_path) = self.response_url("commands");
        let body = form(&[
            ("token", "legacy"),
            ("team_id", "T1"),
            ("team_domain", "kit"),
            ("channel_id", "C1"),
            ("channel_name", "general"),
            ("user_id", "U1"),
            ("user_name", "ada"),
            ("command", command),
            ("text", text),
            ("response_url", &response_url),
            ("trigger_id", &fresh("trigger")),
            ("api_app_id", "A1"),
        ]);
        Posted { answer: http::send(self.signed(node, FORM, &body)).await, reply_path }
    }

    /// The same command as Socket Mode has it, with the path at which the fake Slack waits for the answer.
    pub fn command_payload(&self, command: &str, text: &str) -> (Value, String) {
        let (response_url, reply_path) = self.response_url("commands");
        let payload = json!({
            "team_id": "T1", "channel_id": "C1", "user_id": "U1", "user_name": "ada", "command": command, "text": text,
            "response_url": response_url, "trigger_id": fresh("trigger"), "api_app_id": "A1",
        });
        (payload, reply_path)
    }

    /// A mention as Socket Mode has it.
    pub fn mention_payload(&self, text: &str, ts: &str, event_id: &str) -> Value {
        callback(mentioned(text, ts), event_id)
    }

    /// A person mentions the app in channel `C1`. `ts` identifies the message; `event_id` the delivery.
    pub async fn mention(&self, node: &Node, text: &str, ts: &str, event_id: &str) -> Answer {
        let body = callback(mentioned(text, ts), event_id).to_string();
        http::send(self.signed(node, "application/json", &body)).await
    }

    /// The same mention, to be sent: for a node that may not live to answer. `trace_id` becomes the workflow's.
    pub fn mention_to(&self, node: &Node, text: &str, ts: &str, event_id: &str, trace_id: &str) -> RequestBuilder {
        let body = callback(mentioned(text, ts), event_id).to_string();
        self.signed(node, "application/json", &body).header("x-trace-id", trace_id)
    }

    /// A person writes a message to the app directly, in channel `D1`.
    pub async fn message(&self, node: &Node, text: &str, ts: &str, event_id: &str) -> Answer {
        let event = json!({
            "type": "message", "channel_type": "im", "user": "U1", "text": text, "ts": ts, "channel": "D1", "event_ts": ts,
        });
        http::send(self.signed(node, "application/json", &callback(event, event_id).to_string())).await
    }

    /// A person presses *Stop* in the thread of channel `C1` that the message `ts` began.
    pub async fn stop(&self, node: &Node, ts: &str, event_id: &str) -> Answer {
        let event = json!({
            "type": "agent_session_stopped", "user": "U1", "channel": "C1", "thread_ts": ts, "event_ts": ts,
        });
        http::send(self.signed(node, "application/json", &callback(event, event_id).to_string())).await
    }

    /// A person clicks the button `action_id`.
    pub async fn click(&self, node: &Node, action_id: &str, value: &str) -> Posted {
        let (response_url, reply_path) = self.response_url("actions");
        let payload = json!({
            "type": "block_actions", "user": {"id": "U1", "username": "ada", "team_id": "T1"}, "api_app_id": "A1",
            "team": {"id": "T1", "domain": "kit"}, "channel": {"id": "C1", "name": "general"}, "trigger_id": fresh("trigger"),
            "container": {"type": "message", "message_ts": "1700000000.000100", "channel_id": "C1"},
            "message": {"ts": "1700000000.000100", "text": "a question"}, "response_url": response_url,
            "actions": [{
                "type": "button", "action_id": action_id, "block_id": "b1", "value": value,
                "text": {"type": "plain_text", "text": "Yes"}, "action_ts": "1700000001.000200",
            }],
        });
        let body = form(&[("payload", &payload.to_string())]);
        Posted { answer: http::send(self.signed(node, FORM, &body)).await, reply_path }
    }

    /// The person `user` clicks a button of a message that the node has posted: the `n`-th post, counted from 1.
    /// There is no answer from a node that dies of it.
    pub async fn press(
        &self,
        node: &Node,
        user: &str,
        n: usize,
        button: &(String, String),
    ) -> (Option<Answer>, String) {
        let (response_url, reply_path) = self.response_url("actions");
        let payload = pressed(user, n, button, &response_url);
        let body = form(&[("payload", &payload.to_string())]);
        (http::try_send(self.signed(node, FORM, &body)).await.ok(), reply_path)
    }

    /// The same click as Socket Mode has it, with the path at which the fake Slack waits for a word to the one who clicked.
    pub fn press_payload(&self, user: &str, n: usize, button: &(String, String)) -> (Value, String) {
        let (response_url, reply_path) = self.response_url("actions");
        (pressed(user, n, button, &response_url), reply_path)
    }

    /// Slack asks whether the address is ours.
    pub async fn url_verification(&self, node: &Node, challenge: &str) -> Answer {
        let body = json!({"token": "legacy", "challenge": challenge, "type": "url_verification"});
        http::send(self.signed(node, "application/json", &body.to_string())).await
    }

    /// A request with this body, signed now; headers can be added to it.
    pub fn signed(&self, node: &Node, content_type: &str, body: &str) -> RequestBuilder {
        let timestamp = now();
        let signature = signature(self.secret(), timestamp, body.as_bytes());
        self.unsigned(node, content_type, body)
            .header("x-slack-request-timestamp", timestamp.to_string())
            .header("x-slack-signature", signature)
    }

    /// The same without a signature, for requests that must be refused.
    pub fn unsigned(&self, node: &Node, content_type: &str, body: &str) -> RequestBuilder {
        let request = node.request("POST", "/slack/events").header("content-type", content_type);
        request.header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)").body(body.to_owned())
    }

    /// A fresh address for the answer to one request.
    fn response_url(&self, kind: &str) -> (String, String) {
        let path = format!("/{kind}/T1/{}", fresh("answer"));
        (format!("http://{}{path}", self.address), path)
    }
}

/// A text that was never used before: Slack's ids tell one command or click from its repetition.
fn fresh(what: &str) -> String {
    format!("{what}-{}", greenroom_contract::EventId::new())
}

fn pressed(user: &str, n: usize, button: &(String, String), response_url: &str) -> Value {
    let ts = format!("1700000000.{:06}", n - 1);
    json!({
        "type": "block_actions", "user": {"id": user, "team_id": "T1"}, "api_app_id": "A1", "team": {"id": "T1"},
        "channel": {"id": "C1", "name": "general"}, "trigger_id": fresh("trigger"), "response_url": response_url,
        "container": {"type": "message", "message_ts": ts, "channel_id": "C1", "is_ephemeral": false},
        "message": {"ts": ts}, "state": {"values": {}},
        "actions": [{"type": "button", "action_id": button.0, "block_id": "b1", "value": button.1}],
    })
}

fn mentioned(text: &str, ts: &str) -> Value {
    json!({"type": "app_mention", "user": "U1", "text": text, "ts": ts, "channel": "C1", "event_ts": ts})
}

fn callback(event: Value, event_id: &str) -> Value {
    json!({
        "token": "legacy", "team_id": "T1", "api_app_id": "A1", "event": event, "type": "event_callback",
        "event_id": event_id, "event_time": now(), "is_ext_shared_channel": false,
        "authorizations": [{"enterprise_id": null, "team_id": "T1", "user_id": "UBOT", "is_bot": true}],
    })
}

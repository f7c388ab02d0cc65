//! What operators may ask of an agent or an execution, in every state, and what is written down of it.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use greenroom_contract::status::{AgentStatus, ExecutionStatus};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::testing::{House, Mood, execution, question_id};

const VERBS: [&str; 3] = ["restart", "pause", "resume"];

#[tokio::test]
async fn every_verb_is_taken_in_every_state() {
    let house = House::new();
    for status in AgentStatus::ALL {
        *house.operator.status.lock().unwrap() = *status;
        for verb in VERBS {
            let answer = house.post(&format!("/v1/agents/researcher/{verb}"), json!({})).await;
            assert_eq!(answer.status, 200, "{verb} while {status}");
            let view = answer.json();
            assert_eq!((&view["name"], &view["status"]), (&json!("researcher"), &json!(status.as_str())));
        }
    }
    let asked: Vec<&str> = house.operator.verbs.lock().unwrap().iter().map(|(verb, _)| *verb).collect();
    assert_eq!(asked, VERBS.repeat(AgentStatus::ALL.len()), "each reached the machine once");
}

#[tokio::test]
async fn a_verb_that_cannot_be_done_says_so_and_does_nothing() {
    let house = House::new();
    for verb in VERBS {
        let path = format!("/v1/agents/researcher/{verb}");
        house.post(&format!("/v1/agents/nobody/{verb}"), json!({})).await.problem(404, "not_found");
        house.post(&format!("/v1/agents/Not%20A%20Name/{verb}"), json!({})).await.problem(400, "bad_id");
        house.post(&format!("{path}?force=1"), json!({})).await.problem(400, "bad_parameter");
        house.get(&path).await.problem(405, "wrong_method");
        house.operator.set(Mood::Unavailable);
        house.post(&path, json!({})).await.problem(503, "unavailable");
        house.operator.set(Mood::Well);
    }
    let id = execution(ExecutionStatus::Succeeded).id;
    house.post("/v1/executions/42/cancel", json!({})).await.problem(400, "bad_id");
    assert!(house.operator.verbs.lock().unwrap().is_empty());
    house.operator.set(Mood::Conflict);
    house.post(&format!("/v1/executions/{id}/cancel"), json!({})).await.problem(409, "conflict");
}

#[tokio::test]
async fn schedules_are_shown_and_have_verbs_of_their_own() {
    let house = House::new();
    let list = house.get("/v1/schedules").await.json();
    assert_eq!((&list["items"][0]["agent"], &list["items"][0]["overlap"]), (&json!("researcher"), &json!("skip")));
    let shown = house.get("/v1/schedules/researcher").await.json();
    assert_eq!((&shown["schedule"], &shown["firings"]), (&json!("0 9 * * * (UTC)"), &json!([])));
    for verb in ["pause", "resume"] {
        assert_eq!(
            house.post(&format!("/v1/schedules/researcher/{verb}"), json!({})).await.json()["agent"],
            "researcher"
        );
    }
    let fired = house.post("/v1/schedules/researcher/trigger", json!({})).await;
    let id = execution(ExecutionStatus::Queued).id;
    assert_eq!((fired.status.as_u16(), fired.header("location")), (202, &*format!("/v1/executions/{id}")));
    assert_eq!(fired.json()["trace_id"], fired.header("x-trace-id"));
    house.operator.set(Mood::Conflict);
    house.post("/v1/schedules/researcher/trigger", json!({})).await.problem(409, "conflict");
    house.operator.set(Mood::Unavailable);
    house.get("/v1/schedules").await.problem(503, "unavailable");
    house.operator.set(Mood::Well);
    for verb in ["trigger", "pause", "resume"] {
        house.post(&format!("/v1/schedules/nobody/{verb}"), json!({})).await.problem(404, "not_found");
        house.post(&format!("/v1/schedules/researcher/{verb}?force=1"), json!({})).await.problem(400, "bad_parameter");
        house.get(&format!("/v1/schedules/researcher/{verb}")).await.problem(405, "wrong_method");
    }
}

#[tokio::test]
async fn what_an_operator_did_is_in_the_log_with_its_trace() {
    let house = House::new();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let id = execution(ExecutionStatus::Queued).id;
    let cancel = format!("/v1/executions/{id}/cancel");
    let verbs = VERBS.iter().map(|verb| format!("/v1/agents/researcher/{verb}"));
    let words = ["restarted the agent", "paused the agent", "let the agent go on", "cancelled the execution"];
    for (path, word) in verbs.chain([cancel]).zip(words) {
        let answer = house.post(&path, json!({})).await;
        assert_eq!(answer.status, 200, "{path}");
        let written = log.text();
        let line = written.lines().find(|line| line.contains(word));
        let line = line.unwrap_or_else(|| panic!("nothing of {word:?} in {written}"));
        assert!(line.contains("researcher") || line.contains(&id.to_string()), "{line}");
        assert!(line.contains(answer.header("x-trace-id")), "{line}");
    }
}

#[tokio::test]
async fn questions_are_shown_and_answered() {
    let house = House::new();
    let id = question_id();
    let list = house.get("/v1/clarifications?status=open").await.json();
    let shown = house.get(&format!("/v1/clarifications/{id}")).await.json();
    assert_eq!(list["items"], json!([shown]));
    assert_eq!(shown["clarification_id"], json!(id));
    let asked = (&shown["category"], &shown["user_guidance"], &shown["options"], &shown["status"]);
    let expected = (&json!("multiple_choice"), &json!("Ship it?"), &json!(["yes", "no"]), &json!("open"));
    assert_eq!(asked, expected);
    assert_eq!(house.get("/v1/clarifications?status=answered").await.json()["items"], json!([]));

    let path = format!("/v1/clarifications/{id}/answer");
    let answered = house.post(&path, json!({ "answer": "yes", "by": "ann" })).await.json();
    assert_eq!((&answered["answer"], &answered["answered_by"]), (&json!("yes"), &json!("ann")));
    house.post(&path, json!({ "answer": true })).await;
    let verbs = house.operator.verbs.lock().unwrap().clone();
    assert_eq!(verbs, [("answer", format!("{id} \"yes\" ann")), ("answer", format!("{id} true operator"))]);
}

#[tokio::test]
async fn what_is_no_answer_is_refused() {
    let house = House::new();
    let path = format!("/v1/clarifications/{}/answer", question_id());
    house.get("/v1/clarifications/42").await.problem(400, "bad_id");
    house.get("/v1/clarifications?status=late").await.problem(400, "bad_parameter");
    let other = greenroom_contract::ClarificationId::new();
    house.get(&format!("/v1/clarifications/{other}")).await.problem(404, "not_found");
    house.post(&path, json!({})).await.problem(422, "invalid");
    house.post(&path, json!({ "answer": "yes", "name": "ann" })).await.problem(422, "invalid");
    house.get(&path).await.problem(405, "wrong_method");
    assert!(house.operator.verbs.lock().unwrap().is_empty());
    house.operator.set(Mood::Conflict);
    house.post(&path, json!({ "answer": "yes" })).await.problem(409, "conflict");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

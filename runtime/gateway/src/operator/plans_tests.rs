//! Tasks and plans over HTTP.

use greenroom_contract::{PlanRunId, status::ExecutionStatus};
use serde_json::json;

use crate::testing::{House, Mood, execution};

fn id() -> PlanRunId {
    PlanRunId::of(execution(ExecutionStatus::Waiting).id)
}

#[tokio::test]
async fn a_task_is_taken_in_with_all_that_it_says() {
    let house = House::new();
    let body = json!({
        "agent": "editorial", "task": "Write", "inputs": { "topic": "actors" }, "approve": true, "deadline": "2h",
        "plan": { "steps": [{ "task": "Look", "agent": "scout", "output": "facts" }] },
    });
    let taken = house.post("/v1/tasks", body).await;
    let told = taken.json();
    assert_eq!(
        (taken.status.as_u16(), taken.header("location")),
        (202, &*format!("/v1/plans/{}", told["task_id"].as_str().unwrap()))
    );
    assert_eq!(told["plan_run_id"], told["execution_id"], "a run is its coordinator's execution");
    let tasks = house.operator.tasks.lock().unwrap();
    assert!(tasks[0].task.approve && tasks[0].task.plan.is_some() && tasks[0].task.inputs.len() == 1);
}

#[tokio::test]
async fn what_is_no_task_is_refused_with_its_place() {
    let house = House::new();
    for body in [
        json!({}),
        json!({ "task": 7 }),
        json!({ "task": "a", "steps": [] }),
        json!({ "task": "a", "deadline": "soon" }),
    ] {
        let refused = house.post("/v1/tasks", body.clone()).await;
        assert!((400..=422).contains(&refused.status.as_u16()), "{body}: {}", refused.status);
    }
    house.post("/v1/tasks?wait=1h", json!({ "task": "a" })).await.problem(400, "bad_parameter");
    house.operator.set(Mood::Unavailable);
    house.post("/v1/tasks", json!({ "task": "a" })).await.problem(503, "unavailable");
    assert!(house.operator.tasks.lock().unwrap().is_empty());
}

#[tokio::test]
async fn runs_are_listed_without_what_their_steps_put_out_and_shown_with_it() {
    let house = House::new();
    let list = house.get("/v1/plans?status=failed").await.json();
    assert_eq!(
        (&list["items"][0]["plan_run_id"], &list["items"][0]["steps"][0]["output"]),
        (&json!(id()), &json!(null))
    );
    assert_eq!(house.get("/v1/plans?status=running").await.json()["items"], json!([]));
    house.get("/v1/plans?status=done").await.problem(400, "bad_parameter");
    let shown = house.get(&format!("/v1/plans/{}", id())).await.json();
    assert_eq!((&shown["steps"][0]["output"], &shown["questions"]), (&json!("a fact"), &json!([])));
    assert_eq!(shown["plan"]["steps"][1]["output"], "$text");
    house.get("/v1/plans/7").await.problem(400, "bad_id");
}

#[tokio::test]
async fn a_run_s_verbs_reach_the_machine() {
    let house = House::new();
    let path = format!("/v1/plans/{}", id());
    house.post(&format!("{path}/approve"), json!({ "digest": "abc", "by": "ann" })).await.json();
    house.post(&format!("{path}/approve"), json!({ "approve": false })).await.json();
    house.post(&format!("{path}/cancel"), json!({})).await.json();
    let again = house.post(&format!("{path}/retry"), json!({ "from": "$text" })).await;
    assert_eq!(again.status, 202);
    house.post(&format!("{path}/retry"), json!({ "from": 1 })).await;
    let verbs = house.operator.verbs.lock().unwrap().clone();
    let told: Vec<String> = verbs.iter().map(|(verb, what)| format!("{verb} {what}")).collect();
    let id = id();
    let expected = [
        format!("approve {id} abc true ann"),
        format!("approve {id}  false operator"),
        format!("cancel {id}"),
        format!("retry {id} Some(Output($text))"),
        format!("retry {id} Some(Step(1))"),
    ];
    assert_eq!(told, expected);
    house.post(&format!("{path}/retry"), json!({ "from": "no name" })).await;
    assert_eq!(house.operator.verbs.lock().unwrap().len(), expected.len());
}

#[tokio::test]
async fn a_stream_of_a_run_begins_with_it_and_ends_with_it() {
    let house = House::new();
    let stream = house.get(&format!("/v1/plans/{}/stream", id())).await;
    let text = stream.text();
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(text.matches("event: plan").count(), 1, "{text}");
    assert!(text.contains("\"status\":\"failed\""), "{text}");
}

//! `/v1/plans`: runs of plans, and an operator's verbs on them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures::{Stream, StreamExt, stream::unfold};
use greenroom_contract::{
    PlanRunId,
    page::Page,
    plan::{PlanRun, PlanRunFilter},
    port::operator::{PlanRunShown, RetryFrom},
};
use serde::Deserialize;

use super::tasks::taken_in;
use crate::{
    Doors,
    http::{Id, JsonBody, Params, Problem, Trace, ask, ask_page},
};

/// Who allows a plan, where the caller does not say.
const SOMEBODY: &str = "operator";
/// How often a run that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a stream gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    #[serde(default = "yes")]
    approve: bool,
    /// The plan that is meant, by its `digest`.
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    by: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    #[serde(default)]
    from: Option<RetryFrom>,
}

/// Without what the steps put out, which may be long.
pub(super) async fn list(State(doors): State<Arc<Doors>>, params: Params) -> Result<Json<Page<PlanRun>>, Problem> {
    let params = params.only(&["agent", "status", "limit", "cursor"])?;
    let filter = PlanRunFilter { agent: params.one("agent")?, status: params.one("status")? };
    let mut page = ask_page(doors.state.plan_runs(filter, params.page()?)).await?;
    for run in &mut page.items {
        run.progress.output = None;
        run.progress.inputs.clear();
        run.progress.steps.iter_mut().for_each(|step| step.output = None);
    }
    Ok(Json(page))
}

pub(super) async fn show(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<PlanRunId>,
    params: Params,
) -> Result<Json<PlanRunShown>, Problem> {
    params.only(&[])?;
    find(&doors, id).await.map(Json)
}

pub(super) async fn approve(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<PlanRunId>,
    params: Params,
    JsonBody(Approval { approve, digest, by }): JsonBody<Approval>,
) -> Result<Json<PlanRunShown>, Problem> {
    params.only(&[])?;
    let by = by.unwrap_or_else(|| SOMEBODY.to_owned());
    ask("the store", doors.operator.approve_plan(id, digest, approve, by)).await?;
    find(&doors, id).await.map(Json)
}

/// Ends the run and whoever works for it.
pub(super) async fn cancel(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<PlanRunId>,
    params: Params,
) -> Result<Json<PlanRunShown>, Problem> {
    params.only(&[])?;
    find(&doors, id).await?;
    ask("the store", doors.operator.cancel(id.execution())).await?;
    tracing::info!(plan_run_id = %id, "An operator cancelled the plan run.");
    find(&doors, id).await.map(Json)
}

/// Answers with a run of its own.
pub(super) async fn retry(
    State(doors): State<Arc<Doors>>,
    Trace(trace_id): Trace,
    Id(id): Id<PlanRunId>,
    params: Params,
    JsonBody(Retry { from }): JsonBody<Retry>,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let invoked = ask("the store", doors.operator.retry_plan(id, from, trace_id)).await?;
    tracing::info!(plan_run_id = %id, "An operator had the plan run begin anew.");
    Ok(taken_in(&invoked))
}

/// The run, and the run again whenever it has changed, until it has ended.
pub(super) async fn stream(
    State(doors): State<Arc<Doors>>,
    Id(id): Id<PlanRunId>,
    params: Params,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let first = find(&doors, id).await?;
    let closing = doors.closing.clone().cancelled_owned();
    let events = changes(doors, first).take_until(closing);
    let alive = KeepAlive::new().interval(HEARTBEAT);
    // Proxies must not collect events before they hand them on.
    Ok(([("x-accel-buffering", "no")], Sse::new(events).keep_alive(alive)).into_response())
}

fn changes(doors: Arc<Doors>, first: PlanRunShown) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let ready = (doors, Some(Box::new(first)), None);
    unfold(
        ready,
        |(doors, next, told): (Arc<Doors>, Option<Box<PlanRunShown>>, Option<Box<PlanRunShown>>)| async move {
            if let Some(next) = next {
                let event = Event::default().event("plan").data(serde_json::to_string(&next).unwrap_or_default());
                return Some((Ok(event), (doors, None, Some(next))));
            }
            let told = told?;
            if told.run.status.is_final() {
                return None;
            }
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                // A store that is away for a moment does not end the stream.
                let Ok(now) = find(&doors, told.run.id).await else { continue };
                if now != *told {
                    let event = Event::default().event("plan").data(serde_json::to_string(&now).unwrap_or_default());
                    return Some((Ok(event), (doors, None, Some(Box::new(now)))));
                }
            }
        },
    )
}

async fn find(doors: &Doors, id: PlanRunId) -> Result<PlanRunShown, Problem> {
    ask("the store", doors.operator.plan_run(id)).await
}

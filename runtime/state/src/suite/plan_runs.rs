//! Runs of plans, as people see them.

use greenroom_contract::{
    PlanRunId,
    execution::{Claimed, Failure},
    page::PageRequest,
    plan::{NewPlanRun, PlanProgress, PlanRun, PlanRunFilter, StepRun},
    port::state::{Asked, Conclusion, Error, Finish, Outgoing, Wait},
    status::{ExecutionStatus, PlanRunStatus, PlanStepStatus, Purpose},
};
use serde_json::json;

use super::{
    Stage,
    stage::{agent, call, end, fact, node, secs, succeeded},
};

fn so_far(status: PlanRunStatus, steps: &[PlanStepStatus]) -> NewPlanRun {
    let plan = json!({ "steps": [{ "task": "Look", "agent": "ada", "output": "$facts" }] });
    let steps = steps.iter().map(|status| StepRun { status: *status, ..StepRun::default() });
    NewPlanRun {
        status,
        deadline_at: None,
        told: steps.len() as u32,
        progress: PlanProgress {
            task: "Write".to_owned(),
            plan: Some(serde_json::from_value(plan).unwrap()),
            steps: steps.collect(),
            ..PlanProgress::default()
        },
    }
}

async fn run_of(stage: &Stage, claimed: &Claimed) -> PlanRun {
    stage.state.plan_run(PlanRunId::of(claimed.fence.execution)).await.unwrap().unwrap()
}

/// As it was written, under the id of its execution, by whoever holds that.
pub async fn a_plan_run_is_written_and_shown(stage: Stage) {
    let running = stage.running(&agent("lead"), &node("here")).await;
    assert!(stage.state.plan_run(PlanRunId::of(running.fence.execution)).await.unwrap().is_none());
    stage.state.save_plan_run(running.fence, so_far(PlanRunStatus::Planning, &[])).await.unwrap();
    let created_at = stage.clock_now();
    stage.clock.advance(secs(5));
    let deadline_at = Some(stage.clock_now());
    let more = NewPlanRun { deadline_at, ..so_far(PlanRunStatus::Running, &[PlanStepStatus::Running]) };
    stage.state.save_plan_run(running.fence, more.clone()).await.unwrap();
    let run = run_of(&stage, &running).await;
    assert_eq!(
        (run.execution_id, &run.agent, run.trace_id),
        (running.fence.execution, &agent("lead"), running.event.trace_id)
    );
    assert_eq!((run.status, run.version, run.told), (PlanRunStatus::Running, 2, 1));
    assert_eq!((run.created_at, run.updated_at, run.finished_at), (created_at, stage.clock_now(), None));
    assert_eq!((run.progress, run.deadline_at), (more.progress, deadline_at));

    let stale = greenroom_contract::execution::Fence { epoch: running.fence.epoch + 1, ..running.fence };
    let refused = stage.state.save_plan_run(stale, so_far(PlanRunStatus::Failed, &[])).await;
    assert!(matches!(refused, Err(Error::Fenced)), "{refused:?}");
}

/// Newest first, by coordinator and by status, in pages.
pub async fn plan_runs_are_listed(stage: Stage) {
    let here = node("here");
    let mut ids = Vec::new();
    for (name, status) in
        [("lead", PlanRunStatus::Running), ("head", PlanRunStatus::Running), ("lead", PlanRunStatus::Planning)]
    {
        let running = stage.running(&agent(name), &here).await;
        stage.state.save_plan_run(running.fence, so_far(status, &[])).await.unwrap();
        ids.insert(0, PlanRunId::of(running.fence.execution));
    }
    let list = async |filter: PlanRunFilter, page: PageRequest| stage.state.plan_runs(filter, page).await.unwrap();
    let of = |runs: &[PlanRun]| runs.iter().map(|run| run.id).collect::<Vec<_>>();
    let whole = PageRequest { limit: 10, ..PageRequest::default() };
    assert_eq!(of(&list(PlanRunFilter::default(), whole.clone()).await.items), ids);
    let of_lead = PlanRunFilter { agent: Some(agent("lead")), ..PlanRunFilter::default() };
    assert_eq!(of(&list(of_lead, whole.clone()).await.items), [ids[0], ids[2]]);
    let at_work = PlanRunFilter { status: Some(PlanRunStatus::Running), ..PlanRunFilter::default() };
    assert_eq!(of(&list(at_work.clone(), whole).await.items), [ids[1], ids[2]]);
    let first = list(at_work.clone(), PageRequest { limit: 1, cursor: None }).await;
    assert_eq!(of(&first.items), [ids[1]]);
    let second = list(at_work, PageRequest { limit: 1, cursor: first.next_cursor }).await;
    assert_eq!((of(&second.items), second.next_cursor), (vec![ids[2]], None));
}

/// In one transaction with what its coordinator asks, and with its end.
pub async fn a_plan_run_is_written_with_the_wait_and_with_the_end(stage: Stage) {
    let (lead, here) = (agent("lead"), node("here"));
    let running = stage.running(&lead, &here).await;
    stage.state.journal(running.fence, None, Some(call(&running, 0))).await.unwrap();
    let asked = |seq| Asked {
        seq,
        purpose: Purpose::Approval,
        question: greenroom_contract::clarification::Question::input("May it?"),
    };
    let waits = |seq| Wait {
        questions: vec![asked(seq)],
        plan_run: Some(Box::new(so_far(PlanRunStatus::AwaitingApproval, &[PlanStepStatus::Pending]))),
        ..Wait::default()
    };
    let refused = stage.state.wait(running.fence, waits(7)).await;
    assert!(refused.is_err(), "there is no step 7");
    assert!(stage.state.plan_run(PlanRunId::of(running.fence.execution)).await.unwrap().is_none());
    stage.state.wait(running.fence, waits(0)).await.unwrap();
    assert_eq!(run_of(&stage, &running).await.status, PlanRunStatus::AwaitingApproval);

    let running = stage.running(&lead, &here).await;
    let plan_run = Some(Box::new(so_far(PlanRunStatus::Succeeded, &[PlanStepStatus::Succeeded])));
    stage.state.finish(running.fence, Finish { plan_run, ..end(succeeded()) }).await.unwrap();
    let run = run_of(&stage, &running).await;
    assert_eq!((run.status, run.finished_at), (PlanRunStatus::Succeeded, Some(stage.clock_now())));
}

/// Whether or not its coordinator could write that.
pub async fn a_plan_run_ends_with_its_execution(stage: Stage) {
    let (lead, here) = (agent("lead"), node("here"));
    let failure = || Failure::new("x", "it broke");
    for (status, expected) in [
        (ExecutionStatus::Dead, PlanRunStatus::Failed),
        (ExecutionStatus::TimedOut, PlanRunStatus::Failed),
        (ExecutionStatus::Cancelled, PlanRunStatus::Cancelled),
    ] {
        let running = stage.running(&lead, &here).await;
        stage.state.save_plan_run(running.fence, so_far(PlanRunStatus::Running, &[])).await.unwrap();
        stage.finish(&running, Conclusion::Ended { status, failure: failure() }).await;
        let run = run_of(&stage, &running).await;
        assert_eq!((run.status, run.finished_at.is_some()), (expected, true), "{status}");
    }
    let running = stage.running(&lead, &here).await;
    stage.state.save_plan_run(running.fence, so_far(PlanRunStatus::Running, &[])).await.unwrap();
    assert!(stage.state.cancel(running.fence.execution, failure()).await.unwrap());
    assert_eq!(run_of(&stage, &running).await.status, PlanRunStatus::Cancelled);
}

/// However many look, and not before its grace is over.
pub async fn a_stuck_plan_run_is_told_of_once(stage: Stage) {
    let (lead, here) = (agent("lead"), node("here"));
    let running = stage.running(&lead, &here).await;
    let late = NewPlanRun { deadline_at: Some(stage.clock_now()), ..so_far(PlanRunStatus::Running, &[]) };
    stage.state.save_plan_run(running.fence, late.clone()).await.unwrap();
    let ended = stage.running(&lead, &here).await;
    let over = NewPlanRun { status: PlanRunStatus::Succeeded, ..late };
    stage.state.finish(ended.fence, Finish { plan_run: Some(Box::new(over)), ..end(succeeded()) }).await.unwrap();
    let stuck = async || stage.state.stuck_plan_runs(secs(60), 10).await.unwrap();
    stage.clock.advance(secs(60));
    assert!(stuck().await.is_empty());
    stage.clock.advance(secs(1));
    let id = PlanRunId::of(running.fence.execution);
    assert_eq!(stuck().await.iter().map(|run| run.id).collect::<Vec<_>>(), [id]);
    let tell = async || {
        stage
            .state
            .tell_stuck(id, vec![Outgoing::Event { event: fact("collaboration.stuck"), mandatory: false }])
            .await
            .unwrap()
    };
    assert!(tell().await && !tell().await);
    assert!(stuck().await.is_empty());
    assert_eq!(stage.state.pending(running.event.trace_id).await.unwrap().len(), 0, "it is of another workflow");
}

/// And with nothing else.
pub async fn a_plan_run_is_deleted_with_its_execution(stage: Stage) {
    let running = stage.running(&agent("lead"), &node("here")).await;
    let plan_run = Some(Box::new(so_far(PlanRunStatus::Succeeded, &[])));
    stage.state.finish(running.fence, Finish { plan_run, ..end(succeeded()) }).await.unwrap();
    stage.clock.advance(secs(3600));
    for _ in 0..3 {
        stage.state.sweep(stage.clock_now(), 10).await.unwrap();
        stage.clock.advance(secs(61));
    }
    assert!(stage.state.plan_run(PlanRunId::of(running.fence.execution)).await.unwrap().is_none());
}

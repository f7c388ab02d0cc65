//! Tasks for coordinators, and their runs, from whatever door.

use greenroom_contract::{
    AgentId, ExecutionId, PlanRunId, TraceId, call,
    clarification::Clarification,
    execution::{Execution, Failure, StepKind},
    page::PageRequest,
    plan::{KeptStep, PlanProgress, PlanRun, Task, check, check_schema},
    port::{
        operator::{Error, Invocation, Invoked, NewTask, PlanRunShown, RetryFrom},
        state::ClarificationFilter,
    },
    status::{ClarificationStatus, ExecutionStatus, PlanRunStatus, PlanStepStatus, Purpose, StepStatus},
};
use serde_json::Value;

use super::{door::not_found, registry::Orchestrator};

/// The most questions of one execution that are shown with a run.
const MOST_QUESTIONS: u32 = 50;

impl Orchestrator {
    pub(super) async fn take_task(&self, new: NewTask) -> Result<Invoked, Error> {
        let NewTask { agent, task, priority, trace_id, source, idempotency_key } = new;
        let agent = self.check_task(agent, &task)?;
        let input = serde_json::to_value(task).map_err(|why| Error::Invalid { why: why.to_string() })?;
        let (conversation, reply_to) = (None, None);
        let invocation =
            Invocation { agent, input, priority, conversation, trace_id, source, idempotency_key, reply_to };
        self.invoke_agent(invocation).await
    }

    /// Tells of a plan run that was cancelled. It is told once; a node that dies right now does not tell.
    pub(super) async fn tell_of_cancelled(&self, execution: ExecutionId, failure: &Failure) {
        let told = async {
            match self.inner.ports.state.plan_run(PlanRunId::of(execution)).await? {
                Some(run) => self.submit(crate::plan::cancelled(&run, failure), None).await.map(drop),
                None => Ok(()),
            }
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, execution_id = %execution, "A cancelled plan run could not be told of.");
        }
    }

    /// Who coordinates it; refuses what its coordinator would refuse.
    fn check_task(&self, agent: Option<AgentId>, task: &Task) -> Result<AgentId, Error> {
        let table = self.table();
        let coordinators = table.desired.iter().filter_map(|(name, definition)| {
            definition.spec.collaboration.as_ref().map(|collaboration| (name, collaboration))
        });
        let coordinators: Vec<_> = coordinators.collect();
        let names = || coordinators.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let (name, collaboration) = match (&agent, coordinators.as_slice()) {
            (Some(agent), all) => match all.iter().find(|(name, _)| *name == agent) {
                Some(found) => *found,
                None if !table.desired.contains_key(agent) => return Err(not_found("agent", agent)),
                None => {
                    let why = format!("{agent} coordinates nobody: its file has no `collaboration`");
                    return Err(Error::Conflict { why });
                }
            },
            (None, [only]) => *only,
            (None, []) => return Err(Error::Conflict { why: "no agent's file has a `collaboration`".to_owned() }),
            (None, _) => return Err(Error::Invalid { why: format!("say which `agent` coordinates: {}", names()) }),
        };
        if task.task.trim().is_empty() {
            return Err(Error::Invalid { why: "the task is empty".to_owned() });
        }
        if let Some(plan) = &task.plan {
            let faults: Vec<String> = check(plan, &collaboration.agents).iter().map(ToString::to_string).collect();
            if !faults.is_empty() {
                return Err(Error::Invalid { why: format!("the plan has faults: {}", faults.join("; ")) });
            }
        }
        if let Some(Err(why)) = task.structured_output_schema.as_ref().map(check_schema) {
            return Err(Error::Invalid { why: format!("`structured_output_schema` is no JSON Schema: {why}") });
        }
        Ok(name.clone())
    }

    pub(super) async fn show_plan_run(&self, id: PlanRunId) -> Result<PlanRunShown, Error> {
        let mut run = self.find_plan_run(id).await?;
        if run.status.is_final() {
            return Ok(PlanRunShown { run, questions: Vec::new() });
        }
        let questions = self.questions_for(id.execution()).await?;
        if run.status == PlanRunStatus::Running && !questions.is_empty() && self.all_wait(&run).await? {
            run.status = PlanRunStatus::Waiting;
        }
        Ok(PlanRunShown { run, questions })
    }

    /// Whether everybody who is at work for the run waits for people.
    async fn all_wait(&self, run: &PlanRun) -> Result<bool, Error> {
        let at_work = run.progress.steps.iter().filter(|step| step.status == PlanStepStatus::Running);
        for execution in at_work.filter_map(|step| step.execution_id) {
            let found = self.inner.ports.state.execution(execution).await?;
            if found.is_none_or(|execution| execution.status != ExecutionStatus::Waiting) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A run that its coordinator has written; before that, what is known of it.
    async fn find_plan_run(&self, id: PlanRunId) -> Result<PlanRun, Error> {
        let state = &self.inner.ports.state;
        if let Some(run) = state.plan_run(id).await? {
            return Ok(run);
        }
        let found = state.execution(id.execution()).await?.ok_or_else(|| not_found("plan run", &id))?;
        let coordinates = |agent: &AgentId| {
            self.table().desired.get(agent).is_some_and(|definition| definition.spec.collaboration.is_some())
        };
        if !coordinates(&found.agent) {
            return Err(not_found("plan run", &id));
        }
        Ok(not_begun(found))
    }

    /// What people are asked by an execution, and by those whose answers it waits for.
    pub(super) async fn questions_for(&self, execution: ExecutionId) -> Result<Vec<Clarification>, Error> {
        let state = &self.inner.ports.state;
        let (mut questions, mut waits) = (Vec::new(), vec![execution]);
        for _ in 0..=call::DEEPEST {
            let mut next = Vec::new();
            for execution in std::mem::take(&mut waits) {
                let open = ClarificationFilter {
                    execution: Some(execution),
                    status: Some(ClarificationStatus::Open),
                    ..ClarificationFilter::default()
                };
                let page = PageRequest { limit: MOST_QUESTIONS, cursor: None };
                questions.extend(state.clarifications(open, page).await?.items);
                next.extend(state.execution(execution).await?.iter().flat_map(open_calls));
            }
            if next.is_empty() {
                break;
            }
            waits = next;
        }
        Ok(questions)
    }

    pub(super) async fn decide_on_plan(
        &self,
        id: PlanRunId,
        digest: Option<String>,
        approve: bool,
        by: String,
    ) -> Result<(), Error> {
        let PlanRunShown { run, questions } = self.show_plan_run(id).await?;
        if let (Some(wanted), Some(digest)) = (&digest, &run.progress.digest)
            && wanted != digest
        {
            return Err(Error::Conflict { why: format!("the run's plan is {digest}, not {wanted}: look at it again") });
        }
        let is_it =
            |asked: &&Clarification| asked.execution_id == run.execution_id && asked.purpose == Purpose::Approval;
        let Some(asked) = questions.iter().find(is_it) else {
            return Err(Error::Conflict { why: format!("nobody has to allow the plan: the run is {}", run.status) });
        };
        self.answer_question(asked.id, Value::Bool(approve), by).await.map(drop)
    }

    pub(super) async fn fork_plan(
        &self,
        id: PlanRunId,
        from: Option<RetryFrom>,
        trace_id: TraceId,
    ) -> Result<Invoked, Error> {
        let run = self.find_plan_run(id).await?;
        if !run.status.is_final() {
            return Err(Error::Conflict { why: format!("the run is {}; cancel it first", run.status) });
        }
        let state = &self.inner.ports.state;
        let first = state.execution(run.execution_id).await?.ok_or_else(|| not_found("plan run", &id))?;
        let steps = run.progress.plan.as_ref().map(|plan| plan.steps.as_slice()).unwrap_or_default();
        let from = match from {
            None => None,
            Some(RetryFrom::Step(step)) if step < steps.len() => Some(step),
            Some(RetryFrom::Step(step)) => {
                let why = format!("the plan has {} steps, counted from 0; there is no step {step}", steps.len());
                return Err(Error::Invalid { why });
            }
            Some(RetryFrom::Output(name)) => match steps.iter().position(|step| step.output == name) {
                Some(step) => Some(step),
                None => return Err(Error::Invalid { why: format!("no step of the plan puts out {name}") }),
            },
        };
        let mut kept = run.progress.kept_from(from);
        if kept.len() == steps.len() && !steps.is_empty() {
            let why = "every step has its output; say from which step on they are to be done anew".to_owned();
            return Err(Error::Conflict { why });
        }
        for kept in &mut kept {
            if run.progress.steps[kept.step].output_chars.is_some() {
                kept.output = Some(self.whole_output(kept).await?);
            }
        }
        let PlanProgress { task, inputs, plan, .. } = run.progress;
        // What the first task wanted still holds, and a run without a plan begins with making one.
        let asked = crate::plan::task_of_payload(&first.input).unwrap_or_default();
        let inputs = if plan.is_some() { inputs } else { asked.inputs };
        let task = Task { task, inputs, plan, kept, fork_of: Some(id), ..asked };
        let new = NewTask {
            agent: Some(run.agent),
            task,
            priority: first.priority,
            trace_id,
            source: "retry".to_owned(),
            idempotency_key: None,
        };
        self.take_task(new).await
    }

    /// The output of a step that is too long to stand in its run.
    async fn whole_output(&self, kept: &KeptStep) -> Result<Value, Error> {
        let found = match kept.execution_id {
            Some(id) => self.inner.ports.state.execution(id).await?,
            None => None,
        };
        let gone = || {
            let step = kept.step;
            Error::Conflict { why: format!("the output of step {step} is kept no longer; begin anew from that step") }
        };
        found.and_then(|execution| execution.output).ok_or_else(gone)
    }
}

/// Whom an execution waits for: its calls that are open.
fn open_calls(execution: &Execution) -> Vec<ExecutionId> {
    if execution.status != ExecutionStatus::Waiting {
        return Vec::new();
    }
    let steps = execution.steps.iter().flatten();
    let open = steps.filter(|step| {
        step.kind == StepKind::Agent && step.status == StepStatus::Intended && step.attempt == execution.attempt
    });
    let callee = |step: &greenroom_contract::execution::Step| {
        let agent: AgentId = step.name.parse().ok()?;
        Some(ExecutionId::of(&agent, call::event_id(execution.id, step.attempt, step.seq)))
    };
    open.filter_map(callee).collect()
}

/// A run whose coordinator has not taken it up, or could not.
fn not_begun(execution: Execution) -> PlanRun {
    let status = match execution.status {
        ExecutionStatus::Cancelled => PlanRunStatus::Cancelled,
        status if status.is_final() => PlanRunStatus::Failed,
        _ => PlanRunStatus::Planning,
    };
    let task = crate::plan::task_of_payload(&execution.input).unwrap_or_default();
    PlanRun {
        id: PlanRunId::of(execution.id),
        execution_id: execution.id,
        agent: execution.agent,
        trace_id: execution.trace_id,
        status,
        version: 0,
        told: 0,
        created_at: execution.created_at,
        updated_at: execution.finished_at.unwrap_or(execution.created_at),
        finished_at: execution.finished_at,
        deadline_at: None,
        progress: PlanProgress {
            task: task.task,
            inputs: task.inputs,
            error: execution.error,
            fork_of: task.fork_of,
            ..PlanProgress::default()
        },
    }
}

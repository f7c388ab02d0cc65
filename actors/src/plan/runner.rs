//! What is next in a run of a plan: pure. Whoever feeds it the same events in the same order gets the same actions.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_contract::{
    ExecutionId, MicroUsd,
    call::CallResult,
    execution::Failure,
    plan::{Condition, KeptStep, Name, OnFailure, Plan, StepRun, Values, holds},
    status::PlanStepStatus,
};
use jiff::Timestamp;
use serde_json::Value;

use super::outcome::{self, Broken, Misformed};

/// Something that the run has to be told.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A step's agent has ended.
    Ended { step: usize, result: CallResult },
    /// A model has judged a step's condition.
    Judged { step: usize, verdict: Verdict, reason: String },
    /// A person has said what is to become of a failed step.
    Decided { step: usize, choice: Choice },
}

/// What a model makes of a condition. Portia's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The step is wanted.
    Continue,
    /// It is not.
    Skip,
    /// Neither it nor any other: the plan has come to its end.
    Complete,
}

/// What is to become of a failed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Retry,
    Skip,
    Fail,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Ask the step's agent, and say [`Runner::started`].
    Start { step: usize },
    /// Have the step's condition judged.
    Judge { step: usize, sentence: String },
    /// Ask people what is to become of the step.
    Ask { step: usize },
}

/// What a run may use.
#[derive(Debug, Clone, Default)]
pub(super) struct Bounds {
    /// How many steps run side by side; 0 counts as 1.
    pub(super) side_by_side: usize,
    /// What it may cost.
    pub(super) max_cost: Option<MicroUsd>,
    /// Until when.
    pub(super) deadline: Option<Timestamp>,
}

/// Something worth telling: a step has got so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    pub(super) step: usize,
    pub(super) status: PlanStepStatus,
}

/// A run.
pub(super) struct Runner {
    plan: Plan,
    inputs: Values,
    bounds: Bounds,
    steps: Vec<StepRun>,
    /// Steps whose condition a model has found to hold.
    wanted: BTreeSet<usize>,
    /// Failed steps of which people are asked.
    asked: BTreeSet<usize>,
    /// Steps whose last answer had not the form that is wanted of it.
    misformed: BTreeMap<usize, Misformed>,
    /// The time, as far as it was observed.
    now: Timestamp,
    /// What the steps cost, as far as it is known.
    spent: Option<MicroUsd>,
    /// What the run's own model calls cost.
    own: MicroUsd,
    /// Why it ends without its result.
    stopped: Option<Failure>,
    /// What has happened since its beginning, in order.
    news: Vec<News>,
}

impl Runner {
    /// A run of a plan that was checked, with the values of its inputs, at its beginning.
    pub(super) fn new(plan: Plan, inputs: Values, kept: &[KeptStep], bounds: Bounds, now: Timestamp) -> Self {
        let mut steps = vec![StepRun::default(); plan.steps.len()];
        for kept in kept {
            if let Some(step) = steps.get_mut(kept.step) {
                let status = if kept.output.is_some() { PlanStepStatus::Succeeded } else { PlanStepStatus::Skipped };
                (step.status, step.kept) = (status, true);
                (step.output, step.execution_id) = (kept.output.clone(), kept.execution_id);
            }
        }
        let (wanted, asked, misformed) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        let (spent, own, stopped, news) = (None, MicroUsd::default(), None, Vec::new());
        Self { plan, inputs, bounds, steps, wanted, asked, misformed, now, spent, own, stopped, news }
    }

    /// How far each step is.
    pub(super) fn steps(&self) -> &[StepRun] {
        &self.steps
    }

    /// The plan.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the run cost, as far as it is known.
    pub(super) fn spent(&self) -> Option<MicroUsd> {
        let own = (self.own > MicroUsd::default()).then_some(self.own);
        own.map_or(self.spent, |own| Some(own + self.steps_cost()))
    }

    /// What the steps cost, as far as it is known.
    pub(super) fn steps_cost(&self) -> MicroUsd {
        self.spent.unwrap_or_default()
    }

    /// So much the run's own model calls have cost.
    pub(super) fn own_cost(&mut self, own: MicroUsd) {
        self.own = own;
    }

    /// What was wrong with the form of a step's last answer.
    pub(super) fn misformed(&self, step: usize) -> Option<&Misformed> {
        self.misformed.get(&step)
    }

    /// Whose output a name is before a step: the later that ran, of two. `None` for inputs.
    pub(super) fn source(&self, before: usize, name: &Name) -> Option<usize> {
        let outputs = self.plan.steps.iter().zip(&self.steps).take(before).enumerate();
        let mut ran = outputs.filter(|(_, (planned, run))| planned.output == *name && run.output.is_some());
        ran.rfind(|(_, (_, run))| run.status == PlanStepStatus::Succeeded).map(|(step, _)| step)
    }

    /// What has happened since the beginning.
    pub(super) fn news(&self) -> &[News] {
        &self.news
    }

    /// The time, as far as it was observed.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// How the run ended, if it has: without a failure all its steps had their turn.
    pub(super) fn end(&self) -> Option<Result<(), &Failure>> {
        match &self.stopped {
            Some(failure) => Some(Err(failure)),
            None => self.steps.iter().all(|step| step.status.is_final()).then_some(Ok(())),
        }
    }

    /// The time goes on.
    pub(super) fn observe(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// A step's agent was asked.
    pub(super) fn started(&mut self, step: usize, execution: ExecutionId) {
        let now = self.now;
        if let Some(run) = self.steps.get_mut(step) {
            run.execution_id = Some(execution);
            run.started_at.get_or_insert(now);
            run.tries += 1;
        }
        self.set(step, PlanStepStatus::Running);
    }

    /// Takes an event in. One that fits no step's state changes nothing.
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Ended { step, result } if self.is(step, PlanStepStatus::Running) => self.ended(step, result),
            Event::Judged { step, verdict, reason } if self.is(step, PlanStepStatus::Pending) => match verdict {
                Verdict::Continue => drop(self.wanted.insert(step)),
                Verdict::Skip => self.skip(step, reason),
                Verdict::Complete => {
                    for other in 0..self.steps.len() {
                        if self.is(other, PlanStepStatus::Pending) {
                            self.skip(other, format!("the plan has come to its end: {reason}"));
                        }
                    }
                }
            },
            Event::Decided { step, choice } if self.is(step, PlanStepStatus::Waiting) => {
                self.asked.remove(&step);
                match choice {
                    Choice::Retry => self.set(step, PlanStepStatus::Pending),
                    Choice::Skip => self.skip(step, "it failed, and a person wants to go on without it".to_owned()),
                    Choice::Fail => self.fail(step),
                }
            }
            _ => {}
        }
    }

    /// What can be done now, in the plan's order.
    pub(super) fn advance(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut running = self.steps.iter().filter(|step| step.status == PlanStepStatus::Running).count();
        for step in 0..self.steps.len() {
            if self.stopped.is_some() {
                break;
            }
            if self.is(step, PlanStepStatus::Waiting) && self.asked.insert(step) {
                actions.push(Action::Ask { step });
            }
            if !self.is(step, PlanStepStatus::Pending) || !self.is_ready(step) {
                continue;
            }
            if let Some(failure) = self.spent_up() {
                self.stop(failure);
                break;
            }
            match self.plan.steps[step].wanted_if() {
                Some(Condition::Expression(expression)) => {
                    let known = self.values_before(step, &self.plan.steps[step].names());
                    if !holds(&expression, &known) {
                        self.skip(step, "its condition does not hold".to_owned());
                        continue;
                    }
                }
                Some(Condition::Prose(sentence)) if !self.wanted.contains(&step) => {
                    actions.push(Action::Judge { step, sentence });
                    continue;
                }
                Some(Condition::Prose(_)) | None => {}
            }
            if running < self.bounds.side_by_side.max(1) {
                running += 1;
                actions.push(Action::Start { step });
            }
        }
        let open = |step: &StepRun| matches!(step.status, PlanStepStatus::Running | PlanStepStatus::Waiting);
        if self.end().is_none() && actions.is_empty() && !self.steps.iter().any(open) {
            // A plan that was checked does not come here; one that was not must not wait for ever.
            self.stop(Failure::new("plan_stuck", "no step can begin and none is at work"));
        }
        if self.stopped.is_some() {
            actions.clear();
        }
        actions
    }

    /// What a step gets to see: the values that it names, and no others.
    pub(super) fn given(&self, step: usize) -> Values {
        let inputs = self.plan.steps.get(step).map(|step| step.inputs.as_slice()).unwrap_or_default();
        let names: Vec<Name> = inputs.iter().map(|input| input.name.clone()).collect();
        self.values_before(step, &names)
    }

    /// What is known under these names before a step: where two steps put out the same, the later that ran counts.
    pub(super) fn values_before(&self, step: usize, names: &[Name]) -> Values {
        let mut values = self.inputs.clone();
        values.retain(|name, _| names.contains(name));
        let outputs = self.plan.steps.iter().zip(&self.steps).take(step);
        for (planned, run) in outputs.filter(|(planned, _)| names.contains(&planned.output)) {
            if let Some(output) = run.output.as_ref().filter(|_| run.status == PlanStepStatus::Succeeded) {
                values.insert(planned.output.clone(), output.clone());
            }
        }
        values
    }

    /// Everything that is known: inputs and outputs.
    pub(super) fn values(&self) -> Values {
        let inputs = self.inputs.keys().cloned();
        let names: Vec<Name> = inputs.chain(self.plan.steps.iter().map(|step| step.output.clone())).collect();
        self.values_before(self.steps.len(), &names)
    }

    /// All outputs, by name.
    pub(super) fn outputs(&self) -> Values {
        let names: Vec<Name> = self.plan.steps.iter().map(|step| step.output.clone()).collect();
        let mut outputs = self.values_before(self.steps.len(), &names);
        outputs.retain(|name, _| !self.inputs.contains_key(name));
        outputs
    }

    /// The output of the last step that put something out.
    pub(super) fn last_output(&self) -> Option<&Value> {
        self.steps.iter().rev().filter(|step| step.status == PlanStepStatus::Succeeded).find_map(|s| s.output.as_ref())
    }

    fn is(&self, step: usize, status: PlanStepStatus) -> bool {
        self.steps.get(step).is_some_and(|step| step.status == status)
    }

    fn is_ready(&self, step: usize) -> bool {
        self.plan.needs(step).into_iter().all(|need| self.steps[need].status.is_final())
    }

    fn set(&mut self, step: usize, status: PlanStepStatus) {
        let now = self.now;
        let Some(run) = self.steps.get_mut(step) else { return };
        run.status = status;
        if status.is_final() {
            run.ended_at = Some(now);
        }
        if status != PlanStepStatus::Pending {
            self.news.push(News { step, status });
        }
    }

    fn skip(&mut self, step: usize, reason: String) {
        if let Some(run) = self.steps.get_mut(step) {
            run.reason = Some(reason);
        }
        self.set(step, PlanStepStatus::Skipped);
    }

    fn ended(&mut self, step: usize, result: CallResult) {
        if let Some(cost) = result.cost {
            self.spent = Some(self.spent.unwrap_or_default() + cost);
            let run = &mut self.steps[step];
            run.cost = Some(run.cost.unwrap_or_default() + cost);
        }
        let planned = &self.plan.steps[step];
        let before = self.misformed.remove(&step);
        match outcome::of(planned, self.steps[step].cost, result, before) {
            Ok(output) => {
                let run = &mut self.steps[step];
                (run.output, run.error) = (Some(output), None);
                self.set(step, PlanStepStatus::Succeeded);
            }
            Err(Broken::Misformed(misformed)) => {
                self.steps[step].error = Some(misformed.failure());
                self.misformed.insert(step, misformed);
                self.set(step, PlanStepStatus::Pending);
            }
            Err(Broken::Failed(failure)) => {
                let (policy, retries) = (planned.on_failure, planned.retries.unwrap_or(1));
                self.steps[step].error = Some(failure);
                match policy {
                    OnFailure::Retry if self.steps[step].tries <= retries => self.set(step, PlanStepStatus::Pending),
                    OnFailure::Retry | OnFailure::Fail => self.fail(step),
                    OnFailure::Skip => self.skip(step, "it failed, and the plan goes on without it".to_owned()),
                    OnFailure::Ask => self.set(step, PlanStepStatus::Waiting),
                }
            }
        }
    }

    /// A failed step ends the run.
    fn fail(&mut self, step: usize) {
        self.set(step, PlanStepStatus::Failed);
        let (planned, error) = (&self.plan.steps[step], self.steps[step].error.as_ref());
        let (code, why) = error.map_or(("step_failed", ""), |error| (error.code.as_str(), error.message.as_str()));
        let what = format!("step {} ({}, by {}) failed: {why}", step + 1, planned.output, planned.agent);
        self.stop(Failure::new(code, what));
    }

    /// The run ends without its result; whoever is at work for it works for nobody.
    pub(super) fn stop(&mut self, failure: Failure) {
        self.stopped.get_or_insert(failure);
        for step in 0..self.steps.len() {
            if self.is(step, PlanStepStatus::Running) || self.is(step, PlanStepStatus::Waiting) {
                self.set(step, PlanStepStatus::Cancelled);
            }
        }
    }

    /// Why no step may begin any more.
    fn spent_up(&self) -> Option<Failure> {
        let (spent, most) = (self.spent().unwrap_or_default(), self.bounds.max_cost);
        if let Some(most) = most.filter(|most| spent >= *most && spent > MicroUsd(0)) {
            let what = format!("the run has cost {spent}, and may cost {most}");
            return Some(Failure::new("budget_exhausted", what));
        }
        let deadline = self.bounds.deadline.filter(|deadline| *deadline <= self.now)?;
        Some(Failure::new("timed_out", format!("the run was to end by {deadline:.0}")))
    }
}

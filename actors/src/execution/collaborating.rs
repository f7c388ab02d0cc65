//! What a coordinator needs of its context: notes of what it saw, questions of its own, and what people see of its run.

use std::sync::Arc;

use greenroom_config::AgentSpec;
use greenroom_contract::{
    AgentId, Event, MicroUsd, PlanRunId,
    clarification::Question,
    execution::{Claimed, Effect, StepKind},
    plan::{NewPlanRun, PlanRun},
    port::{
        operator::AgentView,
        state::{Asked, Conclusion, Outgoing},
    },
    status::{Purpose, StepStatus},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    context::Context,
    entry::{Ask, Outcome},
    hash,
    persist::persist_under,
    trouble::Trouble,
};
use crate::plan;

/// As many steps as the longest plan can have with all its tries, conditions and notes, and more.
pub(super) const MOST_STEPS_OF_A_RUN: u32 = 10_000;

/// What people see of a run, on its way into the transaction that ends this run of the coordinator.
#[derive(Default)]
pub(super) struct Shown {
    run: Option<Box<NewPlanRun>>,
    news: Vec<Event>,
    /// Whether its steps have begun: then nothing may be done anew from the start.
    pub(super) has_begun: bool,
    /// What the run may cost: its own model calls, and what it has others do.
    pub(super) most: Option<MicroUsd>,
}

impl Shown {
    /// The run as it is while the coordinator waits, and the news of it.
    pub(super) fn pause(&mut self, outbox: &mut Vec<Outgoing>) -> Option<Box<NewPlanRun>> {
        outbox.extend(self.news.drain(..).map(|event| Outgoing::Event { event, mandatory: false }));
        self.run.take()
    }

    /// The run as the coordinator's end leaves it, and the news of it.
    pub(super) fn end(
        &mut self,
        claimed: &Claimed,
        conclusion: &Conclusion,
        cost: MicroUsd,
        outbox: &mut Vec<Outgoing>,
    ) -> Option<Box<NewPlanRun>> {
        let mut run = self.run.take()?;
        // The last thing that it did may have been a model call.
        if cost > MicroUsd::default() {
            run.progress.cost = Some(cost);
        }
        let (run, last) = plan::ending(claimed, *run, conclusion)?;
        let news = self.news.drain(..).chain([last]);
        outbox.extend(news.map(|event| Outgoing::Event { event, mandatory: false }));
        Some(Box::new(run))
    }
}

impl Context {
    /// Whether the next step is a note that was written before a restart.
    pub(crate) fn is_noted(&self) -> bool {
        self.journal.ahead(StepKind::Note).is_some_and(|(_, ended)| ended)
    }

    /// Whether a run before a restart came further than this.
    pub(crate) fn is_replaying(&self) -> bool {
        self.journal.is_replaying()
    }

    /// Whether a run before a restart has asked people here, under this name.
    pub(crate) fn has_asked_people(&self, name: &str) -> bool {
        self.journal.ahead(StepKind::Ask).is_some_and(|(asked, _)| asked == name)
    }

    /// An agent as every node shows it that runs it; `None` where nobody can be asked.
    pub(crate) fn views_of(&self, agent: &AgentId) -> Option<Vec<AgentView>> {
        self.ports.who.views(agent)
    }

    /// An agent's definition in the folder.
    pub(crate) fn spec_of(&self, agent: &AgentId) -> Option<Arc<AgentSpec>> {
        self.ports.who.spec(agent)
    }

    /// Notes what is seen of the world, and returns it; after a restart, what was seen then. `None` notes nothing.
    pub(crate) async fn note(&mut self, name: &str, seen: Option<Value>) -> Result<Option<Value>, Trouble> {
        self.check_going()?;
        let seen = match seen {
            Some(seen) => seen,
            None if self.is_noted() => Value::Null,
            None => return Ok(None),
        };
        let ask = Ask {
            kind: StepKind::Note,
            request_hash: hash::of(&json!(name)),
            name: name.to_owned(),
            effect: Effect::None,
        };
        let outcome = self
            .journal
            .step(ask, |_| async {
                Outcome { status: StepStatus::Settled, result: seen, usage: None, cost: None, asks: None }
            })
            .await?;
        self.between_calls();
        Ok(Some(outcome.result))
    }

    /// Asks people about something of which `about` is the fingerprint, so that the answer is good for nothing else. `None` is no
    /// answer yet: the behaviour may go on with other things, and then returns [`Trouble::Waiting`].
    pub(crate) async fn ask_people(
        &mut self,
        purpose: Purpose,
        name: &str,
        about: &Value,
        question: Question,
    ) -> Result<Option<Value>, Trouble> {
        self.check_going()?;
        let ask =
            Ask { kind: StepKind::Ask, request_hash: hash::of(about), name: name.to_owned(), effect: Effect::None };
        let seq = self.journal.len();
        // One that is open is not intended again: an answer may settle it at any moment.
        let outcome = self.journal.call(ask).await?;
        if outcome.is_none() {
            self.journal.asks(Asked { seq, purpose, question });
        }
        self.between_calls();
        Ok(outcome.map(|outcome| outcome.result))
    }

    /// What people see of the run from the next wait or end on, with news that go out then.
    pub(crate) fn show(&mut self, run: NewPlanRun, news: Vec<Event>) {
        self.plan.run = Some(Box::new(run));
        self.plan.news = news;
    }

    /// What the run may cost.
    pub(crate) fn may_cost(&mut self, most: Option<MicroUsd>) {
        self.plan.most = most;
    }

    /// What others have cost that worked for the run, as far as it has learned.
    pub(crate) fn others_cost(&mut self, cost: MicroUsd) {
        self.others = cost;
    }

    /// What its own model calls cost, those of earlier attempts with them.
    pub(crate) async fn own_cost(&mut self) -> Result<MicroUsd, Trouble> {
        Ok(self.spent_before().await? + self.spent)
    }

    /// From here on no other attempt may begin from the start.
    pub(crate) fn has_begun(&mut self) {
        self.plan.has_begun = true;
    }

    /// Writes what people see of the run now.
    pub(crate) async fn save_plan_run(&self, run: &NewPlanRun) -> Result<(), Trouble> {
        let (state, fence) = (&self.ports.state, self.claimed.fence);
        Ok(persist_under(Some(&self.pulse), "plan_run", || state.save_plan_run(fence, run.clone())).await?)
    }

    /// What people saw of the run before this claim.
    pub(crate) async fn plan_run_before(&self) -> Result<Option<PlanRun>, Trouble> {
        let (state, id) = (&self.ports.state, PlanRunId::of(self.claimed.fence.execution));
        Ok(persist_under(Some(&self.pulse), "plan_run", || state.plan_run(id)).await?)
    }

    /// The newest definition of another agent, if it was ever started.
    pub(crate) async fn definition_of(&self, agent: &AgentId) -> Result<Option<AgentSpec>, Trouble> {
        let state = &self.ports.state;
        let kept = persist_under(Some(&self.pulse), "versions", || state.versions(agent)).await?;
        Ok(kept.into_iter().next().and_then(|spec| serde_json::from_value(spec).ok()))
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// The claimed execution.
    pub(crate) fn claimed(&self) -> &Claimed {
        &self.claimed
    }
}

//! Money: set aside before a model call, by the most that the call can cost; settled with its journal.

use std::{sync::Arc, time::Duration};

use super::{
    clarify,
    context::{Context, SILENCE_NET},
    entry::{Ask, Outcome},
    hash,
    persist::persist_under,
    size,
    trouble::Trouble,
};
use crate::allowance::{Hold, start_of_day};
use greenroom_config::spec::{BudgetUsd, WhenSpent};
use greenroom_contract::{
    MicroUsd,
    execution::{Effect, Step, StepKind},
    port::{
        llm::{Llm, Request},
        state::{Reservation, Reserved},
    },
    status::Purpose,
};
use serde_json::json;

/// How long a provider may take to count a request's tokens.
const COUNT: Duration = Duration::from_secs(10);
/// More than the faults of an answer are told in, in bytes.
const MENDING: u64 = 16 * 1024;

/// The name of the step in which people are asked for more.
const ASKS: &str = "budget";

/// A model that may be asked, and what is set aside for it.
pub(super) struct Paid {
    pub(super) llm: Arc<dyn Llm>,
    pub(super) hold: Option<Hold>,
}

/// Why a call does not fit.
struct TooDear {
    why: String,
    /// Whether a person may lift the limit.
    ours: bool,
}

impl TooDear {
    /// By a limit of the agent.
    fn ours(why: String) -> Self {
        Self { why, ours: true }
    }
}

impl Context {
    /// The model that is asked: the agent's own or, where the money does not reach, the one that its budget names instead.
    /// When the money reaches for neither, it fails with `budget_exhausted`, or people are asked, as the budget says. A
    /// call whose outcome is in the journal is paid.
    pub(super) async fn afford(&mut self, request: &Request) -> Result<Paid, Trouble> {
        loop {
            if self.journal.ahead(StepKind::Ask).is_some() {
                // A run before this one has asked here, or was about to.
                self.ask_for_more("it was found so before a restart").await?;
            }
            // A call that was begun before a restart has this place in the journal, where no question can stand.
            let begun = self.journal.ahead(StepKind::Llm).is_some();
            let asks = self.spec().limits.budget_usd.when_spent == WhenSpent::Ask && !begun;
            match self.find_affordable(request).await? {
                Ok(paid) => return Ok(paid),
                Err(TooDear { why, ours: true }) if asks => self.ask_for_more(&why).await?,
                Err(TooDear { why, .. }) => return Err(Trouble::lasting("budget_exhausted", why)),
            }
        }
    }

    /// Asks people whether as much may be spent once more; the answer is found in the journal by the run that goes on.
    async fn ask_for_more(&mut self, why: &str) -> Result<(), Trouble> {
        self.check_going()?;
        let more = unit(&self.spec().limits.budget_usd);
        let question = clarify::budget_spent(why, more);
        let ask = asks_for(more);
        let outcome = self.journal.step(ask, |_| async { Outcome::asks(Purpose::Budget, question) }).await?;
        if self.journal.has_asked() {
            return Err(Trouble::Waiting);
        }
        if !clarify::is_granted(&outcome.result) {
            return Err(Trouble::lasting(
                "budget_exhausted",
                "a person was asked, and does not allow more to be spent",
            ));
        }
        self.granted = self.granted + more;
        Ok(())
    }

    async fn find_affordable(&mut self, request: &Request) -> Result<Result<Paid, TooDear>, Trouble> {
        let outfit = &self.kit.outfit;
        let mut members = vec![Arc::clone(&outfit.llm)];
        members.extend(outfit.cheaper.clone());
        if let Some((name, finished)) = self.journal.ahead(StepKind::Llm) {
            // A resume goes the way that the first run went.
            let same = |llm: &Arc<dyn Llm>| name_of(&**llm) == name;
            let at = members.iter().position(same).unwrap_or(0);
            if finished {
                return Ok(Ok(Paid { llm: members.swap_remove(at), hold: None }));
            }
            members = vec![members.swap_remove(at)];
        }
        let mut refused: Option<TooDear> = None;
        for llm in members {
            if let Some(TooDear { why, .. }) = &refused {
                tracing::warn!(
                    reason = why,
                    llm = name_of(&*llm),
                    "The money does not reach; a cheaper model is asked."
                );
            }
            match self.set_aside(&*llm, request).await? {
                Ok(hold) => return Ok(Ok(Paid { llm, hold })),
                Err(why) => refused = Some(why),
            }
        }
        Ok(Err(refused.unwrap_or_else(|| TooDear::ours(String::new()))))
    }

    async fn set_aside(&mut self, llm: &dyn Llm, request: &Request) -> Result<Result<Option<Hold>, TooDear>, Trouble> {
        let budget = &self.spec().limits.budget_usd;
        let is_bounded = budget.per_execution.is_some() || budget.per_day.is_some() || self.plan.most.is_some();
        if !is_bounded && !self.ports.allowance.is_limited() {
            return Ok(Ok(None));
        }
        let output = u64::from(request.max_tokens);
        // An answer that does not have its form is asked for once more, with itself and its faults.
        let with_mending = |input: u64| match &request.output {
            Some(_) => Some(llm.most(input, output)? + llm.most(input + output + MENDING, output)?),
            None => llm.most(input, output),
        };
        let most = |input: u64| {
            with_mending(input).ok_or_else(|| {
                let why = format!(
                    "the price of {} is not known, so no budget can be kept with it; give it in llm_config.price, or remove the budget",
                    name_of(llm)
                );
                Trouble::lasting("price_unknown", why)
            })
        };
        // A token is at least one byte of what is sent: no tokenizer makes more of it.
        let bound = size::of_request(request);
        let first = self.hold(most(bound)?).await?;
        if first.is_ok() {
            return Ok(first);
        }
        self.progress.begin(format!("counting tokens for {}", name_of(llm)), COUNT + SILENCE_NET);
        // It may be much less. Where the provider counts exactly, that is the bound; an estimate is doubled.
        let Ok(Ok(counted)) = tokio::time::timeout(COUNT, llm.count_tokens(request)).await else { return Ok(first) };
        let counted = counted.all_input().saturating_mul(if counted.estimated { 2 } else { 1 });
        if counted >= bound {
            return Ok(first);
        }
        self.hold(most(counted)?).await
    }

    async fn hold(&mut self, amount: MicroUsd) -> Result<Result<Option<Hold>, TooDear>, Trouble> {
        if amount == MicroUsd::default() {
            return Ok(Ok(None));
        }
        let budget = &self.spec().limits.budget_usd;
        let (per_execution, per_day, asks) =
            (budget.per_execution, budget.per_day, budget.when_spent == WhenSpent::Ask);
        let counts = per_execution.is_some() || asks || self.plan.most.is_some();
        let earlier = if counts { self.spent_before().await? } else { MicroUsd::default() };
        if let Some(most) = self.plan.most {
            let spent = self.spent + earlier + self.others;
            if spent + amount > most {
                let why = format!(
                    "the call can cost {amount}, and the run has cost {spent} and may cost {most} (max_cost_usd)"
                );
                return Ok(Err(TooDear { why, ours: false }));
            }
        }
        if let Some(most) = per_execution.map(MicroUsd::from_usd) {
            let spent = self.spent + earlier;
            let most = most + self.granted;
            if spent + amount > most {
                return Ok(Err(TooDear::ours(format!(
                    "the call can cost {amount}, and the execution has spent {spent} of its {most} (limits.budget_usd.per_execution)"
                ))));
            }
        }
        let now = self.ports.clock.now();
        let hold = match self.ports.allowance.hold(amount, now) {
            Ok(hold) => hold,
            Err(full) => {
                let why = format!(
                    "the call can cost {amount}, and the node has spent {} of its {} of today (UTC; GREENROOM_BUDGET_USD_PER_DAY), \
                     with {} set aside for other calls",
                    full.spent, full.most, full.held
                );
                return Ok(Err(TooDear { why, ours: false }));
            }
        };
        let Some(most) = per_day.map(|most| MicroUsd::from_usd(most) + self.granted) else { return Ok(Ok(Some(hold))) };
        let wanted = Reservation {
            fence: self.claimed.fence,
            attempt: self.claimed.attempt,
            seq: self.journal.len(),
            amount,
            since: start_of_day(now),
            most,
        };
        match persist_under(Some(&self.pulse), "reserve", || self.ports.state.reserve(wanted)).await? {
            Reserved::Granted => Ok(Ok(Some(hold))),
            Reserved::Refused { spent, reserved } => {
                hold.settle(MicroUsd::default());
                Ok(Err(TooDear::ours(format!(
                    "the call can cost {amount}, and the agent has spent {spent} of its {most} of today (UTC; limits.budget_usd.per_day), \
                     with {reserved} set aside for other executions"
                ))))
            }
        }
    }

    /// What it cost so far, with its earlier attempts and whom it asked; without the earlier ones where the store cannot tell of them.
    pub(super) async fn cost(&mut self) -> MicroUsd {
        let earlier = self.spent_before().await.unwrap_or_default();
        earlier + self.spent + self.others
    }

    /// What the execution's earlier attempts spent; what people granted them is granted to this one.
    pub(super) async fn spent_before(&mut self) -> Result<MicroUsd, Trouble> {
        if let Some(earlier) = self.earlier {
            return Ok(earlier);
        }
        let (id, attempt) = (self.claimed.fence.execution, self.claimed.attempt);
        let earlier = match attempt {
            0 | 1 => MicroUsd::default(),
            _ => {
                let steps = persist_under(Some(&self.pulse), "budget", || self.ports.state.steps(id)).await?;
                let earlier = || steps.iter().filter(|step| step.attempt < attempt);
                let more = unit(&self.spec().limits.budget_usd);
                // A permission for a tool's call is a question, too, and grants no money.
                let asks = asks_for(more);
                let granted = |step: &&Step| {
                    (step.kind, &step.request_hash) == (StepKind::Ask, &asks.request_hash)
                        && step.result.as_ref().is_some_and(clarify::is_granted)
                };
                self.granted = earlier().filter(granted).fold(self.granted, |sum, _| sum + more);
                earlier().filter_map(|step| step.cost).sum()
            }
        };
        self.earlier = Some(earlier);
        Ok(earlier)
    }
}

/// The step in which people are asked for so much more.
fn asks_for(more: MicroUsd) -> Ask {
    let request_hash = hash::of_call(ASKS, &json!({ "more": more.0 }));
    Ask { kind: StepKind::Ask, name: ASKS.to_owned(), request_hash, effect: Effect::None }
}

/// What people are asked to grant: the execution's budget once more or, where it has none, the day's.
fn unit(budget: &BudgetUsd) -> MicroUsd {
    MicroUsd::from_usd(budget.per_execution.or(budget.per_day).unwrap_or_default())
}

/// The step's name of a model.
pub(super) fn name_of(llm: &dyn Llm) -> String {
    format!("{}/{}", llm.provider(), llm.model())
}

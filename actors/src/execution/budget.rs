//! Money: set aside before a model call, by the most that the call can cost; settled with its journal.

use std::{sync::Arc, time::Duration};

use super::{
    context::{Context, SILENCE_NET},
    journal::Trouble,
    persist::persist_under,
    size,
};
use crate::allowance::{Hold, start_of_day};
use greenroom_contract::{
    MicroUsd,
    execution::StepKind,
    port::{
        llm::{Llm, Request},
        state::{Reservation, Reserved},
    },
};

/// How long a provider may take to count a request's tokens.
const COUNT: Duration = Duration::from_secs(10);
/// More than the faults of an answer are told in, in bytes.
const MENDING: u64 = 16 * 1024;

/// A model that may be asked, and what is set aside for it.
pub(super) struct Paid {
    pub(super) llm: Arc<dyn Llm>,
    pub(super) hold: Option<Hold>,
}

/// Why a call does not fit.
struct TooDear(String);

impl Context {
    /// The model that is asked: the agent's own or, where the money does not reach, the one that its budget names instead.
    /// Fails with `budget_exhausted` when the money reaches for neither. A call whose outcome is in the journal is paid.
    pub(super) async fn afford(&mut self, request: &Request) -> Result<Paid, Trouble> {
        let outfit = &self.kit.outfit;
        let mut members = vec![Arc::clone(&outfit.llm)];
        members.extend(outfit.cheaper.clone());
        if let Some((name, finished)) = self.journal.ahead(StepKind::Llm) {
            // A resume goes the way that the first run went.
            let same = |llm: &Arc<dyn Llm>| name_of(&**llm) == name;
            let at = members.iter().position(same).unwrap_or(0);
            if finished {
                return Ok(Paid { llm: members.swap_remove(at), hold: None });
            }
            members = vec![members.swap_remove(at)];
        }
        let mut refused = None;
        for llm in members {
            if let Some(TooDear(why)) = &refused {
                tracing::warn!(
                    reason = why,
                    llm = name_of(&*llm),
                    "The money does not reach; a cheaper model is asked."
                );
            }
            match self.set_aside(&*llm, request).await? {
                Ok(hold) => return Ok(Paid { llm, hold }),
                Err(why) => refused = Some(why),
            }
        }
        let why = refused.map_or_else(String::new, |TooDear(why)| why);
        Err(Trouble::lasting("budget_exhausted", why))
    }

    async fn set_aside(&mut self, llm: &dyn Llm, request: &Request) -> Result<Result<Option<Hold>, TooDear>, Trouble> {
        let budget = &self.spec().limits.budget_usd;
        if budget.per_execution.is_none() && budget.per_day.is_none() && !self.ports.allowance.is_limited() {
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
        let (per_execution, per_day) = (budget.per_execution, budget.per_day);
        if let Some(most) = per_execution.map(MicroUsd::from_usd) {
            let spent = self.spent + self.spent_before().await?;
            if spent + amount > most {
                return Ok(Err(TooDear(format!(
                    "the call can cost {amount}, and the execution has spent {spent} of its {most} (limits.budget_usd.per_execution)"
                ))));
            }
        }
        let now = self.ports.clock.now();
        let hold = match self.ports.allowance.hold(amount, now) {
            Ok(hold) => hold,
            Err(full) => {
                return Ok(Err(TooDear(format!(
                    "the call can cost {amount}, and the node has spent {} of its {} of today (UTC; GREENROOM_BUDGET_USD_PER_DAY), \
                     with {} set aside for other calls",
                    full.spent, full.most, full.held
                ))));
            }
        };
        let Some(most) = per_day.map(MicroUsd::from_usd) else { return Ok(Ok(Some(hold))) };
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
                Ok(Err(TooDear(format!(
                    "the call can cost {amount}, and the agent has spent {spent} of its {most} of today (UTC; limits.budget_usd.per_day), \
                     with {reserved} set aside for other executions"
                ))))
            }
        }
    }

    /// What the execution's earlier attempts spent.
    async fn spent_before(&mut self) -> Result<MicroUsd, Trouble> {
        if let Some(earlier) = self.earlier {
            return Ok(earlier);
        }
        let (id, attempt) = (self.claimed.fence.execution, self.claimed.attempt);
        let earlier = match attempt {
            0 | 1 => MicroUsd::default(),
            _ => {
                let steps = persist_under(Some(&self.pulse), "budget", || self.ports.state.steps(id)).await?;
                steps.iter().filter(|step| step.attempt < attempt).filter_map(|step| step.cost).sum()
            }
        };
        self.earlier = Some(earlier);
        Ok(earlier)
    }
}

/// The step's name of a model.
pub(super) fn name_of(llm: &dyn Llm) -> String {
    format!("{}/{}", llm.provider(), llm.model())
}

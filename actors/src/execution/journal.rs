//! The journal of one attempt: each call is written before it is made and after it is finished.
//!
//! ```text
//!   intended 0 ∥ call 0 → settled 0 + intended 1 → call 1 → settled 1 + intended 2 → … → settled n + finish
//! ```
//!
//! A settled result is held back only until the next commit, which is made before anything else happens; a first call
//! without an effect runs beside the commit of its intention. Calls that may run side by side are all intended first, and
//! each is settled as it ends.

use std::{collections::VecDeque, future::Future, sync::Arc};

use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use greenroom_config::spec::OnUnknown;
use greenroom_contract::{
    execution::{Claimed, Effect, Fence, Intended, Settled, Step, StepKind},
    port::state::{Asked, Error, NewCall, State},
    status::{Purpose, StepStatus},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    clarify,
    entry::{Ask, Before, Outcome, Told, check_same},
    persist::persist_under,
    trouble::Trouble,
};
use crate::watchdog::Pulse;

pub(crate) struct Journal {
    state: Arc<dyn State>,
    fence: Fence,
    attempt: u32,
    /// Steps of an earlier run of this attempt, in order.
    replay: VecDeque<Step>,
    next: u32,
    /// The last call's result, written with the next commit.
    unsettled: Option<Settled>,
    /// What people are asked when the run ends.
    asked: Vec<Asked>,
    /// What other agents are asked when the run ends.
    called: Vec<NewCall>,
    on_unknown: OnUnknown,
    pulse: Arc<Pulse>,
}

impl Journal {
    /// The journal of a claimed attempt.
    pub(crate) fn new(state: Arc<dyn State>, claimed: &Claimed, pulse: Arc<Pulse>) -> Self {
        let (fence, attempt, replay) = (claimed.fence, claimed.attempt, claimed.journal.clone().into());
        Self {
            state,
            fence,
            attempt,
            replay,
            next: 0,
            unsettled: None,
            asked: Vec::new(),
            called: Vec::new(),
            on_unknown: OnUnknown::Ask,
            pulse,
        }
    }

    /// What becomes of a call that broke off and must not be made twice.
    pub(crate) fn on_unknown(&mut self, then: OnUnknown) {
        self.on_unknown = then;
    }

    /// How many steps were made or replayed.
    pub(crate) fn len(&self) -> u32 {
        self.next
    }

    /// The next step as a run before a restart made it: its name, and whether it came to its end.
    pub(crate) fn ahead(&self, kind: StepKind) -> Option<(&str, bool)> {
        let step = self.replay.front().filter(|step| step.seq <= self.next && step.kind == kind)?;
        Some((&step.name, step.status != StepStatus::Intended && step.result.is_some()))
    }

    /// Whether anything of a run before a restart is still ahead.
    pub(crate) fn is_replaying(&self) -> bool {
        !self.replay.is_empty()
    }

    /// The effect with which a step was made before a restart, if it is this one; `ahead` counts from the next.
    pub(crate) fn effect_before(&self, ahead: usize, kind: StepKind, name: &str) -> Option<Effect> {
        let step = self.replay.iter().find(|step| step.seq as usize == self.next as usize + ahead)?;
        (step.kind == kind && step.name == name).then_some(step.effect)
    }

    /// Whether people are asked something, so that the run has to end.
    pub(crate) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What people are asked.
    pub(crate) fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// What other agents are asked.
    pub(crate) fn take_called(&mut self) -> Vec<NewCall> {
        std::mem::take(&mut self.called)
    }

    /// What the finishing transaction has to settle.
    pub(crate) fn take_unsettled(&mut self) -> Option<Settled> {
        self.unsettled.take()
    }

    /// Writes the last call's result without a next call: the attempt stops here, and whoever goes on with it finds the
    /// call made.
    pub(crate) async fn flush(&mut self) -> Result<(), Trouble> {
        let Some(settle) = self.unsettled.take() else { return Ok(()) };
        let (state, fence) = (Arc::clone(&self.state), self.fence);
        let write = persist_under(Some(&self.pulse), "step", move || {
            let (state, settle) = (Arc::clone(&state), settle.clone());
            async move { state.journal(fence, Some(settle), None).await }
        });
        Ok(write.await?)
    }

    /// Makes a call, or takes its outcome from the journal. `call` gets the idempotency key.
    pub(crate) async fn step<F, Fut>(&mut self, ask: Ask, call: F) -> Result<Outcome, Trouble>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        let seq = self.next;
        let is_intended = match self.take_replayed(&ask)? {
            Before::Ended(outcome) => return Ok(*outcome),
            Before::Intended => true,
            Before::Nothing => false,
        };
        let may_overlap = self.unsettled.is_none() && ask.effect == Effect::None;
        let (key, told) = (self.key(seq), Told::of(&ask, seq));
        let write = self.intend(ask, seq, is_intended);
        let started = Instant::now();
        let outcome = if may_overlap {
            let (written, outcome) = futures::join!(write, call(key));
            written?;
            outcome
        } else {
            write.await?;
            call(key).await
        };
        self.came_to(told, &outcome, started);
        Ok(outcome)
    }

    /// Makes several calls side by side, or takes their outcomes from the journal; for effects that allow a repetition
    /// only, because a crash may interrupt them all at once. `call` gets the place of its request in `asks` and the
    /// idempotency key; the outcomes stand in the order of `asks`. Each is written as soon as it is there.
    pub(crate) async fn steps<F, Fut>(&mut self, asks: Vec<Ask>, call: F) -> Result<Vec<Outcome>, Trouble>
    where
        F: Fn(usize, String) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(asks.len());
        let mut open = Vec::new();
        for (place, ask) in asks.into_iter().enumerate() {
            let seq = self.next;
            let before = self.take_replayed(&ask)?;
            let is_intended = matches!(before, Before::Intended);
            outcomes.push(match before {
                Before::Ended(outcome) => Some(*outcome),
                Before::Intended | Before::Nothing => None,
            });
            if outcomes[place].is_none() {
                open.push((place, seq, ask, is_intended));
            }
        }
        let mut intentions = VecDeque::with_capacity(open.len());
        let mut begun = Vec::with_capacity(open.len());
        for (place, seq, ask, is_intended) in open {
            begun.push((place, seq, Told::of(&ask, seq)));
            intentions.push_back(self.intend(ask, seq, is_intended));
        }
        // The first takes along the answer that asked for all of them, and a crash must not leave the others without it:
        // asked anew, the model may want other calls. The others are written together.
        if let Some(first) = intentions.pop_front() {
            first.await?;
        }
        try_join_all(intentions).await?;
        let started = Instant::now();
        let mut running: FuturesUnordered<_> = begun
            .into_iter()
            .map(|(place, seq, told)| {
                let call = call(place, self.key(seq));
                async move { (place, told, call.await) }
            })
            .collect();
        while let Some((place, told, outcome)) = running.next().await {
            self.came_to(told, &outcome, started);
            outcomes[place] = Some(outcome);
            if !running.is_empty() {
                self.flush().await?;
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Intends a call of another agent, or takes its outcome from the journal: `None` is one that is open. What it asks is
    /// said by [`Self::called`].
    pub(crate) async fn call(&mut self, ask: Ask) -> Result<Option<Outcome>, Trouble> {
        let seq = self.next;
        match self.take_replayed(&ask)? {
            Before::Ended(outcome) => Ok(Some(*outcome)),
            // It has been asked.
            Before::Intended => Ok(None),
            Before::Nothing => {
                self.intend(ask, seq, false).await?;
                Ok(None)
            }
        }
    }

    /// People are asked when the run ends to wait.
    pub(crate) fn asks(&mut self, asked: Asked) {
        self.asked.push(asked);
    }

    /// Another agent is asked when the run ends to wait.
    pub(crate) fn called(&mut self, call: NewCall) {
        self.called.push(call);
    }

    fn came_to(&mut self, told: Told, outcome: &Outcome, started: Instant) {
        match &outcome.asks {
            Some((purpose, question)) => {
                tracing::info!(
                    step.seq = told.seq,
                    step.name = told.name,
                    purpose = purpose.as_str(),
                    "People are asked."
                );
                self.asked.push(Asked { seq: told.seq, purpose: *purpose, question: question.clone() });
            }
            None => self.unsettled = Some(told.settled(self.attempt, outcome, started)),
        }
    }

    /// What a run before this one has left of the next step.
    fn take_replayed(&mut self, ask: &Ask) -> Result<Before, Trouble> {
        let seq = self.next;
        self.next += 1;
        // Intentions that were written together may have a gap where a crash kept one from being written.
        let Some(step) = self.replay.pop_front_if(|step| step.seq <= seq) else { return Ok(Before::Nothing) };
        check_same(&step, ask, seq)?;
        if let (StepStatus::Settled | StepStatus::Failed, Some(result)) = (step.status, step.result) {
            tracing::info!(step.seq = seq, step.name = ask.name, "A finished call is taken from the journal.");
            let (status, usage, cost) = (step.status, step.usage, step.cost);
            return Ok(Before::Ended(Box::new(Outcome { status, result, usage, cost, asks: None })));
        }
        if step.status == StepStatus::Unknown {
            return Err(self.unknown(seq, &ask.name, "broke off"));
        }
        if step.effect == Effect::AtMostOnce {
            self.unsettled = Some(Settled {
                attempt: self.attempt,
                seq,
                status: StepStatus::Unknown,
                result: Value::Null,
                usage: None,
                cost: None,
                duration_ms: 0,
            });
            return Err(self.unknown(seq, &ask.name, "was under way when its process died"));
        }
        Ok(Before::Intended)
    }

    fn key(&self, seq: u32) -> String {
        format!("{}/{}/{seq}", self.fence.execution, self.attempt)
    }

    /// Writes the intention, with the last call's result. One that is written already is not written again: its step may
    /// have got its outcome meanwhile, by a person's answer. Whether the execution is still ours is asked all the same.
    fn intend(&mut self, ask: Ask, seq: u32, is_intended: bool) -> impl Future<Output = Result<(), Error>> + use<> {
        let intended = Intended {
            attempt: self.attempt,
            seq,
            kind: ask.kind,
            name: ask.name,
            request_hash: ask.request_hash,
            idempotency_key: self.key(seq),
            effect: ask.effect,
        };
        let intended = (!is_intended).then_some(intended);
        let (settle, fence) = (self.unsettled.take(), self.fence);
        let (state, pulse) = (Arc::clone(&self.state), Arc::clone(&self.pulse));
        async move {
            let write = || {
                let (state, settle, intended) = (Arc::clone(&state), settle.clone(), intended.clone());
                async move { state.journal(fence, settle, intended).await }
            };
            persist_under(Some(&pulse), "step", write).await
        }
    }

    /// The last call broke off, and it must not be made twice: nobody knows whether it happened.
    pub(crate) fn broke_off(&mut self, name: &str) -> Trouble {
        self.unknown(self.next.saturating_sub(1), name, "broke off")
    }

    fn unknown(&mut self, seq: u32, name: &str, how: &str) -> Trouble {
        if self.on_unknown == OnUnknown::Ask {
            self.asked.push(Asked {
                seq,
                purpose: Purpose::OutcomeUnknown,
                question: clarify::outcome_unknown(name, how),
            });
            return Trouble::Waiting;
        }
        let what = format!(
            "tool {name} (step {seq}) {how} and its effect is at_most_once: it may or may not have happened; look, then \
             replay the dead letter or purge it"
        );
        Trouble::lasting("outcome_unknown", what)
    }
}

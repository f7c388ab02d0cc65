//! Questions to people.

use greenroom_contract::{
    BoxFuture, ClarificationId,
    clarification::{Card, Clarification, MOST_CARDS},
    clock::{from_millis, to_millis},
    execution::Fence,
    page::{Page, PageRequest},
    port::state::{ClarificationFilter, Clarifications, Decided, Decision, Error, Escalated, Result, Wait},
    status::{ClarificationStatus, ExecutionStatus, StepStatus},
};

use super::{
    shown::List,
    store::MemoryState,
    tables::{Tables, conflict},
};

const LIST: List = List('c');

impl Clarifications for MemoryState {
    fn wait(&self, fence: Fence, wait: Wait) -> BoxFuture<'_, Result<()>> {
        self.call(move |tables, now| tables.wait(fence, wait, now))
    }

    fn decide(&self, id: ClarificationId, decision: Decision) -> BoxFuture<'_, Result<Decided>> {
        self.call(move |tables, now| tables.decide(id, decision, now))
    }

    fn escalate(&self, id: ClarificationId, escalated: Escalated) -> BoxFuture<'_, Result<bool>> {
        self.call(move |tables, now| Ok(tables.escalate(id, escalated, now)))
    }

    fn clarification(&self, id: ClarificationId) -> BoxFuture<'_, Result<Option<Clarification>>> {
        self.call(move |tables, _| Ok(tables.questions.iter().find(|asked| asked.id == id).cloned()))
    }

    fn clarifications(
        &self,
        filter: ClarificationFilter,
        page: PageRequest,
    ) -> BoxFuture<'_, Result<Page<Clarification>>> {
        self.call(move |tables, _| {
            let (below, limit) = (LIST.below(&page)?, page.limit as usize);
            let wanted = |asked: &Clarification| {
                filter.agent.as_ref().is_none_or(|agent| *agent == asked.agent)
                    && filter.execution.is_none_or(|execution| execution == asked.execution_id)
                    && filter.status.is_none_or(|status| status == asked.status)
            };
            let rows = tables.questions.iter().enumerate().rev().map(|(row, asked)| (row as i64, asked));
            let rows = rows.filter(|(row, asked)| *row < below && wanted(asked));
            Ok(LIST.page(rows.map(|(row, asked)| (row, asked.clone())).take(limit + 1).collect(), limit))
        })
    }

    fn note_card(&self, id: ClarificationId, card: Card) -> BoxFuture<'_, Result<Clarification>> {
        self.call(move |tables, _| {
            let missing = || Error::NotFound { what: format!("clarification {id}") };
            let asked = tables.questions.iter_mut().find(|asked| asked.id == id).ok_or_else(missing)?;
            if !asked.cards.contains(&card) {
                asked.cards.push(card);
                let over = asked.cards.len().saturating_sub(MOST_CARDS);
                asked.cards.drain(..over);
            }
            Ok(asked.clone())
        })
    }

    fn overdue(&self, limit: u32) -> BoxFuture<'_, Result<Vec<Clarification>>> {
        self.call(move |tables, now| {
            let late = |asked: &&Clarification| {
                asked.status == ClarificationStatus::Open && asked.expires_at.is_some_and(|at| to_millis(at) <= now)
            };
            let mut late: Vec<_> = tables.questions.iter().filter(late).cloned().collect();
            late.sort_by_key(|asked| asked.expires_at);
            late.truncate(limit as usize);
            Ok(late)
        })
    }
}

impl Tables {
    fn escalate(&mut self, id: ClarificationId, escalated: Escalated, now: i64) -> bool {
        let is_it = |asked: &&mut Clarification| {
            let is_open = asked.status == ClarificationStatus::Open;
            asked.id == id && is_open && asked.expires_at == Some(escalated.expired_at)
        };
        let Some(asked) = self.questions.iter_mut().find(is_it) else { return false };
        let within = escalated.question.expires_in_s.map(|secs| now + secs as i64 * 1000);
        (asked.question, asked.expires_at) = (escalated.question, within.map(from_millis));
        for outgoing in escalated.outbox {
            self.send(outgoing, None, now);
        }
        true
    }

    fn wait(&mut self, fence: Fence, wait: Wait, now: i64) -> Result<()> {
        let number = self.hold(fence)?;
        if wait.questions.is_empty() && wait.calls.is_empty() {
            return Err(conflict("nobody waits for the answer to no question"));
        }
        let row = &self.rows[number];
        let attempt = row.attempt;
        let intended = |seq: u32| row.steps.iter().any(|step| (step.attempt, step.seq) == (attempt, seq));
        if let Some(call) = wait.calls.iter().find(|call| !intended(call.seq)) {
            return Err(Error::NotFound { what: format!("step {} of attempt {attempt}", call.seq) });
        }
        let mut new = Vec::new();
        let mut was_answered = false;
        for asked in wait.questions {
            let id = ClarificationId::of(fence.execution, attempt, asked.seq);
            // One that was asked before may have been answered while the execution was at work for the sake of a call.
            if self.questions.iter().any(|old| old.id == id && old.status != ClarificationStatus::Open) {
                was_answered = true;
                continue;
            }
            let is_it = |step: &&greenroom_contract::execution::Step| (step.attempt, step.seq) == (attempt, asked.seq);
            if row
                .steps
                .iter()
                .find(is_it)
                .is_none_or(|step| !matches!(step.status, StepStatus::Intended | StepStatus::Unknown))
            {
                return Err(Error::NotFound { what: format!("step {} of attempt {attempt}", asked.seq) });
            }
            let millis = |secs: u64| i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX);
            new.push(Clarification {
                id,
                execution_id: row.id,
                agent: row.agent.clone(),
                trace_id: row.event.trace_id,
                event_type: row.event.event_type.clone(),
                attempt,
                seq: asked.seq,
                purpose: asked.purpose,
                status: ClarificationStatus::Open,
                asked_at: from_millis(now),
                expires_at: asked.question.expires_in_s.map(|secs| from_millis(now.saturating_add(millis(secs)))),
                question: asked.question,
                answer: None,
                answered_by: None,
                answered_at: None,
                reply_to: wait.reply_to.clone(),
                cards: Vec::new(),
            });
        }
        new.retain(|asked| self.questions.iter().all(|old| old.id != asked.id));
        self.questions.extend(new);
        if let Some(plan_run) = wait.plan_run {
            self.write_plan_run(number, *plan_run, now);
        }
        let has_ended = self.open_calls(number, wait.calls, now) || was_answered;
        wait.outbox.into_iter().for_each(|outgoing| self.send(outgoing, None, now));
        let row = &mut self.rows[number];
        row.status = if has_ended { ExecutionStatus::Queued } else { ExecutionStatus::Waiting };
        if has_ended {
            row.available_at = now;
        }
        Ok(())
    }

    fn decide(&mut self, id: ClarificationId, decision: Decision, now: i64) -> Result<Decided> {
        let missing = || Error::NotFound { what: format!("clarification {id}") };
        let asked = self.questions.iter_mut().find(|asked| asked.id == id).ok_or_else(missing)?;
        if asked.status != ClarificationStatus::Open {
            return Ok(Decided::Before(asked.clone()));
        }
        let Decision { status, answer, by, step: (ending, result), outbox } = decision;
        (asked.status, asked.answer) = (status, answer);
        (asked.answered_by, asked.answered_at) = (Some(by), Some(from_millis(now)));
        let decided = asked.clone();
        let open = self.asks(&decided);
        let number = self.by_id[&decided.execution_id];
        let row = &mut self.rows[number];
        let place = (decided.attempt, decided.seq);
        if let Some(step) = row.steps.iter_mut().find(|step| (step.attempt, step.seq) == place) {
            self.settled.insert(step.idempotency_key.clone());
            (step.status, step.result) = (ending, Some(result));
            step.duration_ms = Some(u64::try_from(now - to_millis(step.intended_at)).unwrap_or(0));
        }
        if !open && row.status == ExecutionStatus::Waiting {
            row.status = ExecutionStatus::Queued;
            row.available_at = now;
        }
        outbox.into_iter().for_each(|outgoing| self.send(outgoing, None, now));
        Ok(Decided::Now(decided))
    }

    /// Whether its execution has other questions that are open.
    fn asks(&self, decided: &Clarification) -> bool {
        self.questions
            .iter()
            .any(|asked| asked.execution_id == decided.execution_id && asked.status == ClarificationStatus::Open)
    }
}

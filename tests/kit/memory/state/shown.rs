//! Questions.

use greenroom_contract::{
    AgentId, ExecutionId, MicroUsd, TraceId,
    clock::from_millis,
    execution::{Execution, Step},
    page::{Page, PageRequest},
    port::{
        llm::Usage,
        state::{ExecutionFilter, PendingRow, Result, Spent, USAGE_BUCKET_MS},
    },
    status::ExecutionStatus,
};

use super::tables::{Row, Tables, conflict};

/// A list that is read in pages, by falling row number. Its letter keeps one list's cursors out of another's.
pub(super) struct List(pub(super) char);

impl List {
    /// Rows below this one are wanted.
    pub(super) fn below(&self, page: &PageRequest) -> Result<i64> {
        let Some(cursor) = &page.cursor else { return Ok(i64::MAX) };
        let number = cursor.strip_prefix(self.0).and_then(|digits| i64::from_str_radix(digits, 16).ok());
        number.filter(|number| *number >= 0).ok_or_else(|| conflict("the cursor is not one of this list's"))
    }

    /// Cuts off the row beyond the limit, which says that there is another page.
    pub(super) fn page<T>(&self, mut items: Vec<(i64, T)>, limit: usize) -> Page<T> {
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().map(|(number, _)| format!("{}{number:x}", self.0));
        Page { items: items.into_iter().map(|(_, item)| item).collect(), next_cursor: last.filter(|_| more) }
    }
}

impl Tables {
    pub(super) fn execution(&self, id: ExecutionId) -> Option<Execution> {
        match self.row(id) {
            Some(row) => Some(Execution { steps: Some(row.journal()), ..row.show() }),
            None => self.promise(id),
        }
    }

    /// An execution that a door took and that has not reached the inbox.
    fn promise(&self, id: ExecutionId) -> Option<Execution> {
        let out = self.outbox.get(self.promised.get(&id)?)?;
        let (event, _) = out.event()?;
        Some(Execution {
            id,
            agent: out.agent.clone()?,
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            trace_id: event.trace_id,
            status: ExecutionStatus::Queued,
            attempt: 0,
            epoch: 0,
            crashes: 0,
            node: None,
            priority: event.priority,
            source: event.source.clone(),
            input: event.payload.clone(),
            output: None,
            error: None,
            cost: None,
            saved: None,
            created_at: from_millis(out.created_at),
            started_at: None,
            finished_at: None,
            available_at: Some(from_millis(out.available_at)),
            steps: Some(Vec::new()),
        })
    }

    pub(super) fn steps(&self, id: ExecutionId) -> Vec<Step> {
        self.row(id).map(Row::journal).unwrap_or_default()
    }

    pub(super) fn executions(&self, filter: &ExecutionFilter, page: &PageRequest) -> Result<Page<Execution>> {
        const LIST: List = List('e');
        let below = LIST.below(page)?;
        let limit = page.limit.clamp(1, 500) as usize;
        let rows = self.rows.iter().enumerate().map(|(number, row)| (number as i64 + 1, row)).rev();
        let wanted = rows.filter(|(number, row)| {
            *number < below
                && !row.swept
                && filter.agent.as_ref().is_none_or(|agent| *agent == row.agent)
                && (filter.status.is_empty() || filter.status.contains(&row.status))
                && filter.trace_id.is_none_or(|trace| trace == row.event.trace_id)
        });
        let items = wanted.take(limit + 1).map(|(number, row)| (number, row.show())).collect();
        Ok(LIST.page(items, limit))
    }

    pub(super) fn pending(&self, trace_id: TraceId) -> Vec<PendingRow> {
        let rows = self.outbox.values().filter(|out| out.trace_id() == trace_id);
        rows.map(|out| {
            let event = out.event().map(|(event, _)| event.event_type.clone());
            PendingRow {
                kind: if event.is_some() { "event" } else { "reply" }.to_owned(),
                to: event.unwrap_or_else(|| "reply".to_owned()),
                attempts: out.attempts,
                published: out.published,
                last_error: out.last_error.clone(),
            }
        })
        .collect()
    }

    pub(super) fn usage(&self, since: i64) -> Vec<(AgentId, Spent)> {
        let mut agents: Vec<&AgentId> = self.usage.keys().map(|(agent, _)| agent).collect();
        agents.dedup();
        let spent = agents.into_iter().map(|agent| (agent.clone(), self.spent(agent, since)));
        spent.filter(|(_, spent)| *spent != Spent::default()).collect()
    }

    pub(super) fn spent(&self, agent: &AgentId, since: i64) -> Spent {
        let first = (agent.clone(), since.div_euclid(USAGE_BUCKET_MS));
        let buckets = self.usage.range(first..).take_while(|((other, _), _)| other == agent);
        buckets.fold(Spent::default(), |sum, (_, bucket)| Spent {
            calls: sum.calls + bucket.calls,
            usage: add(sum.usage, bucket.usage),
            cost: sum.cost + bucket.cost,
        })
    }
}

impl Row {
    fn journal(&self) -> Vec<Step> {
        let mut steps = self.steps.clone();
        steps.sort_by_key(|step| (step.attempt, step.seq));
        steps
    }

    fn show(&self) -> Execution {
        let event = &self.event;
        let priced = || self.steps.iter().filter_map(|step| step.cost.map(|cost| (cost, step.replays)));
        let saved = priced().filter(|(_, replays)| *replays > 0).map(|(cost, replays)| cost.0 * i64::from(replays));
        Execution {
            id: self.id,
            agent: self.agent.clone(),
            event_id: event.event_id,
            event_type: event.event_type.clone(),
            trace_id: event.trace_id,
            status: self.status,
            attempt: self.attempt,
            epoch: self.epoch,
            crashes: self.crashes,
            node: self.node.clone(),
            priority: event.priority,
            source: event.source.clone(),
            input: event.payload.clone(),
            output: self.output.clone(),
            error: self.error.clone(),
            cost: sum(priced().map(|(cost, _)| cost.0)),
            saved: sum(saved),
            created_at: from_millis(self.created_at),
            started_at: self.started_at.map(from_millis),
            finished_at: self.finished_at.map(from_millis),
            available_at: (self.status == ExecutionStatus::Queued).then(|| from_millis(self.available_at)),
            steps: None,
        }
    }
}

/// The sum, where there is anything to add up.
fn sum(prices: impl Iterator<Item = i64>) -> Option<MicroUsd> {
    prices.fold(None, |sum: Option<i64>, price| Some(sum.unwrap_or(0) + price)).map(MicroUsd)
}

fn add(a: Usage, b: Usage) -> Usage {
    Usage {
        input: a.input + b.input,
        output: a.output + b.output,
        cache_read: a.cache_read + b.cache_read,
        cache_write: a.cache_written() + b.cache_written(),
        cache_write_1h: 0,
        reasoning: a.reasoning + b.reasoning,
        estimated: a.estimated || b.estimated,
    }
}

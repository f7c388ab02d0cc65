//! Doors and outbox.

use greenroom_contract::{
    AgentId, EventId, ExecutionId, NodeId,
    call::CallResult,
    execution::Failure,
    port::state::{OutboxId, OutboxOutcome, OutboxRow, Outgoing, Result, Submission, Submitted, Wanted},
    status::ExecutionStatus,
};
use serde_json::json;

use super::{
    claims::NewRow,
    tables::{Letter, Out, Tables, conflict},
};

/// How long a relay has a row before another may take it.
const LEASE_MS: i64 = 30_000;
/// The end of a lease that is none: the row is that node's relay's, which does not have it in hand.
const NOT_IN_HAND: i64 = i64::MIN;

impl Tables {
    pub(super) fn submit(&mut self, Submission { event, agent }: Submission, now: i64) -> Result<Submitted> {
        let waiting = self.out_by_event.get(&event.event_id).into_iter().flatten();
        let waiting = waiting.filter_map(|id| self.outbox.get(id)?.event().map(|(event, _)| event));
        let arrived = self.by_event.get(&event.event_id).into_iter().flatten().map(|number| &self.rows[*number].event);
        let first = waiting.chain(arrived).find(|first| first.event_type == event.event_type).cloned();
        match first {
            Some(first) if first.payload != event.payload => {
                let what = format!("the idempotency key of event {} was used for another request", event.event_id);
                Err(conflict(what))
            }
            Some(first) => Ok(Submitted { event: first, repeated: true }),
            None if agent
                .as_ref()
                .is_some_and(|agent| self.swept.contains_key(&ExecutionId::of(agent, event.event_id))) =>
            {
                let event = event.event_id;
                Err(conflict(format!(
                    "the idempotency key of event {event} was used for a request whose history was deleted"
                )))
            }
            None => {
                let mandatory = agent.is_some();
                self.send(Outgoing::Event { event: event.clone(), mandatory }, agent, now);
                Ok(Submitted { event, repeated: false })
            }
        }
    }

    /// The same, and the new row is the relay's of this node.
    pub(super) fn submit_owned(&mut self, submission: Submission, node: &NodeId, now: i64) -> Result<Submitted> {
        let before = self.next_out;
        let submitted = self.submit(submission, now)?;
        if let Some(out) = self.outbox.get_mut(&self.next_out).filter(|_| self.next_out > before) {
            out.lease = Some((node.clone(), NOT_IN_HAND));
        }
        Ok(submitted)
    }

    /// Writes a row. An event that waits under the same topic already is not written again.
    pub(super) fn send(&mut self, outgoing: Outgoing, agent: Option<AgentId>, now: i64) {
        let mut meant = agent;
        if let Outgoing::Event { event, mandatory } = &outgoing {
            let waiting = self.out_by_event.get(&event.event_id).into_iter().flatten();
            let mut waiting = waiting.filter_map(|id| self.outbox.get(id)?.event());
            if waiting.any(|(other, _)| other.event_type == event.event_type) {
                return;
            }
            if *mandatory && meant.is_none() {
                meant = receiver(&event.event_type);
            }
        }
        self.next_out += 1;
        let id = self.next_out;
        if let Outgoing::Event { event, .. } = &outgoing {
            self.out_by_event.entry(event.event_id).or_default().push(id);
            if let Some(agent) = &meant {
                self.promised.insert(ExecutionId::of(agent, event.event_id), id);
            }
        }
        let (available_at, created_at) = (now, now);
        let (published, attempts, lease, last_error) = (false, 0, None, None);
        let out = Out { outgoing, agent: meant, published, attempts, available_at, created_at, lease, last_error };
        self.outbox.insert(id, out);
        self.due.insert(id);
    }

    fn remove(&mut self, id: i64) -> Option<Out> {
        let out = self.outbox.remove(&id)?;
        self.due.remove(&id);
        if let Some((event, _)) = out.event() {
            if let Some(ids) = self.out_by_event.get_mut(&event.event_id) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.out_by_event.remove(&event.event_id);
                }
            }
            if let Some(agent) = &out.agent {
                self.promised.remove(&ExecutionId::of(agent, event.event_id));
            }
        }
        Some(out)
    }

    /// Removes the commands of an event that have arrived where they were meant to.
    pub(super) fn arrived(&mut self, event: EventId, at: impl Fn(&Out) -> bool) {
        let ids = self.out_by_event.get(&event).cloned().unwrap_or_default();
        for id in ids {
            if self.outbox.get(&id).is_some_and(|out| out.event().is_some_and(|(_, command)| command) && at(out)) {
                self.remove(id);
            }
        }
    }

    pub(super) fn claim_outbox(&mut self, node: &NodeId, wanted: Wanted, lost: bool, now: i64) -> Vec<OutboxRow> {
        let (events, limit) = match wanted {
            Wanted::Events(limit) => (true, limit),
            Wanted::Replies(limit) => (false, limit),
        };
        let mut taken = Vec::new();
        for id in &self.due {
            if taken.len() >= limit as usize {
                break;
            }
            let out = &self.outbox[id];
            if out.event().is_some() != events {
                continue;
            }
            let held = out.lease.as_ref().is_some_and(|(owner, until)| match owner == node {
                true => *until >= now,
                // What is in nobody's hand comes free with its node's lease alone.
                false if *until == NOT_IN_HAND => !lost || self.nodes.get(owner).is_some_and(|lease| *lease >= now),
                false => !lost || *until >= now && self.nodes.get(owner).is_none_or(|lease| *lease >= now),
            });
            let waits = out.address().is_some_and(|address| {
                self.outbox.range(..id).any(|(_, earlier)| earlier.address().as_ref() == Some(&address))
            });
            if out.available_at <= now && !held && !waits && !self.is_behind_a_failed_one(*id, out) {
                taken.push(*id);
            }
        }
        let mut rows = Vec::with_capacity(taken.len());
        for id in taken {
            if let Some(out) = self.outbox.get_mut(&id) {
                out.lease = Some((node.clone(), now + LEASE_MS));
                rows.push(OutboxRow { id: OutboxId(id), outgoing: out.outgoing.clone(), attempts: out.attempts });
            }
        }
        rows
    }

    /// Whether an earlier event under the same topic has failed, unless it fails for ever.
    fn is_behind_a_failed_one(&self, id: i64, out: &Out) -> bool {
        let topic = |out: &Out| out.event().map(|(event, _)| event.event_type.clone());
        let Some(own) = topic(out) else { return false };
        let mut earlier = self.outbox.range(..id).filter(|(_, earlier)| !earlier.published);
        earlier.any(|(_, earlier)| (1..=50).contains(&earlier.attempts) && topic(earlier).as_ref() == Some(&own))
    }

    pub(super) fn settle_outbox(&mut self, OutboxId(id): OutboxId, outcome: OutboxOutcome, now: i64) {
        let Some(out) = self.outbox.get_mut(&id) else { return };
        match outcome {
            OutboxOutcome::Published if out.event().is_some_and(|(_, mandatory)| mandatory) => {
                out.published = true;
                out.lease = None;
                self.due.remove(&id);
            }
            OutboxOutcome::Published | OutboxOutcome::Delivered => {
                self.remove(id);
            }
            OutboxOutcome::Retry { after, reason } => {
                out.attempts += 1;
                out.available_at = now + after.as_millis() as i64;
                out.last_error = Some(reason);
                out.lease = None;
            }
            OutboxOutcome::Dead(reason) => self.bury_row(id, &reason, now),
        }
    }

    /// Makes a dead letter of a row. The execution that a door promised for it ends as `dead`.
    fn bury_row(&mut self, id: i64, reason: &Failure, now: i64) {
        let Some(out) = self.outbox.get(&id) else { return };
        let (queue, body) = match &out.outgoing {
            Outgoing::Event { event, .. } => (event.event_type.clone(), event.to_bytes()),
            Outgoing::Reply { to, text, is_error, .. } => {
                // A reply's address is a capability and stays out.
                let shown = json!({ "reply_to": to.kind(), "text": text, "is_error": is_error });
                (format!("reply.{}", to.kind()), shown.to_string().into_bytes())
            }
        };
        let promised = out.event().zip(out.agent.as_ref());
        let execution = promised.map(|((event, _), agent)| ExecutionId::of(agent, event.event_id));
        self.keep(Letter {
            agent: out.agent.clone(),
            queue,
            execution,
            trace_id: Some(out.trace_id()),
            reason: reason.clone(),
            attempts: out.attempts + 1,
            node: out.lease.as_ref().map(|(node, _)| node.clone()),
            first_at: out.created_at,
            dead_at: now,
            replayed: None,
            from_bus: false,
            body,
        });
        if let Some(execution) = execution {
            self.close(execution, ExecutionStatus::Dead, reason, now);
        }
        self.remove(id);
    }

    pub(super) fn redrive(&mut self, now: i64) -> u64 {
        let mut count = 0;
        let waits = |out: &Out| !out.published && out.attempts > 0 && out.available_at > now && out.event().is_some();
        for (id, out) in self.outbox.iter_mut().filter(|(_, out)| out.published || waits(out)) {
            out.attempts = if out.published { out.attempts } else { 1 };
            out.published = false;
            out.available_at = now;
            out.lease = None;
            self.due.insert(*id);
            count += 1;
        }
        count
    }

    /// Ends an execution that has not reached the inbox: it gets its row there, ended, so that a delivery that still
    /// comes is a duplicate. Returns whether there was one.
    pub(super) fn close(&mut self, id: ExecutionId, status: ExecutionStatus, why: &Failure, now: i64) -> bool {
        let Some(out) = self.promised.get(&id).copied().and_then(|out| self.remove(out)) else { return false };
        self.end_call(CallResult::failed(id, status, why.clone()), now);
        let (Some((event, _)), Some(agent)) = (out.event(), &out.agent) else { return false };
        let (created_at, ended) = (out.created_at, Some((now, why.clone())));
        self.insert(NewRow { agent, version: "", event, status, node: None, created_at, ended })
    }
}

/// The one agent that a topic belongs to, if it is an agent's input.
pub(super) fn receiver(topic: &str) -> Option<AgentId> {
    topic.strip_prefix("agent.input.")?.parse().ok()
}

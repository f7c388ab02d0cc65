//! Inbox and claims.

use std::cmp::Reverse;

use greenroom_contract::{
    AgentId, Event, ExecutionId, NodeId, ReplyTo,
    call::CallResult,
    clarification::Clarification,
    clock::from_millis,
    execution::{Claimed, Failure, Fence},
    port::state::{Accepted, Arrival, Claim, Error, LEFT_TO_THE_QUEUE, NodeLease, Outgoing, Release, Result, STOPPED},
    status::{ClarificationStatus, ExecutionStatus, StepStatus},
};

use super::tables::{Row, Tables};

/// An execution's row before it is written.
pub(super) struct NewRow<'a> {
    pub(super) agent: &'a AgentId,
    pub(super) version: &'a str,
    pub(super) event: &'a Event,
    pub(super) status: ExecutionStatus,
    pub(super) node: Option<NodeId>,
    pub(super) created_at: i64,
    pub(super) ended: Option<(i64, Failure)>,
}

impl Tables {
    /// Writes the row, unless the agent has had the event before. Says whether it was written.
    pub(super) fn insert(&mut self, new: NewRow<'_>) -> bool {
        let id = ExecutionId::of(new.agent, new.event.event_id);
        if self.by_id.contains_key(&id) || self.swept.contains_key(&id) {
            return false;
        }
        let begun = new.status == ExecutionStatus::Running;
        let (finished_at, error) = new.ended.map_or((None, None), |(at, failure)| (Some(at), Some(failure)));
        self.add(Row {
            id,
            agent: new.agent.clone(),
            version: new.version.to_owned(),
            event: new.event.clone(),
            status: new.status,
            attempt: u32::from(begun),
            epoch: u64::from(begun),
            crashes: 0,
            node: new.node,
            available_at: new.created_at,
            created_at: new.created_at,
            started_at: begun.then_some(new.created_at),
            finished_at,
            error,
            output: None,
            steps: Vec::new(),
            swept: false,
        });
        true
    }

    pub(super) fn accept(&mut self, arrival: Arrival, now: i64) -> Accepted {
        let Arrival { agent, version, event, claim } = arrival;
        let id = ExecutionId::of(&agent, event.event_id);
        let status = if claim.is_some() { ExecutionStatus::Running } else { ExecutionStatus::Queued };
        let (node, event_ref) = (claim.clone(), &event);
        let new = self.insert(NewRow {
            agent: &agent,
            version: &version,
            event: event_ref,
            status,
            node,
            created_at: now,
            ended: None,
        });
        // The receiver of a command is its agent. A command to a queue that is no agent's has arrived with its first inbox.
        self.arrived(event.event_id, |out| out.agent.as_ref().is_none_or(|meant| *meant == agent));
        match (new, claim) {
            (false, _) => Accepted::Duplicate(id),
            (true, None) => Accepted::Queued(id),
            (true, Some(_)) => Accepted::Claimed(Box::new(Claimed {
                fence: Fence { execution: id, epoch: 1 },
                agent,
                version,
                event,
                attempt: 1,
                crashes: 0,
                journal: Vec::new(),
            })),
        }
    }

    pub(super) fn claim(&mut self, claim: &Claim, now: i64) -> Vec<Claimed> {
        let Some(unfinished) = self.unfinished.get(&claim.agent) else { return Vec::new() };
        let due = |number: &usize| {
            let row = &self.rows[*number];
            match row.status {
                ExecutionStatus::Queued => {
                    row.available_at <= now && (!claim.ordered || self.has_its_turn(*number, claim, now))
                }
                ExecutionStatus::Running => {
                    let dead = |node: &NodeId| *node != claim.node && self.is_dead(node, now);
                    claim.lost && row.node.as_ref().is_some_and(dead)
                }
                _ => false,
            }
        };
        let mut found: Vec<usize> = if claim.ordered {
            unfinished.first().copied().into_iter().filter(due).collect()
        } else {
            unfinished.iter().copied().filter(due).collect()
        };
        found.sort_unstable_by_key(|number| (Reverse(self.rows[*number].event.priority), *number));
        found.truncate(claim.limit as usize);
        found.into_iter().map(|number| self.take(number, &claim.node, now)).collect()
    }

    /// Whether the claimant may have what waits in order, or leaves it to the node that the queue leads to.
    fn has_its_turn(&self, number: usize, claim: &Claim, now: i64) -> bool {
        let row = &self.rows[number];
        let before = self.rows[..number].iter().rev().find(|before| before.agent == row.agent);
        let since = row.available_at.max(before.and_then(|before| before.finished_at).unwrap_or(0));
        let own = row.node.as_ref().is_some_and(|node| *node == claim.node || self.is_dead(node, now));
        claim.here || own || since <= now - LEFT_TO_THE_QUEUE.as_millis() as i64
    }

    fn take(&mut self, number: usize, node: &NodeId, now: i64) -> Claimed {
        let row = &mut self.rows[number];
        row.crashes += u32::from(row.status == ExecutionStatus::Running);
        row.status = ExecutionStatus::Running;
        row.node = Some(node.clone());
        row.epoch += 1;
        row.attempt = row.attempt.max(1);
        row.started_at.get_or_insert(now);
        let attempt = row.attempt;
        let mut journal = Vec::new();
        for step in row.steps.iter_mut().filter(|step| step.attempt == attempt) {
            step.replays += u32::from(matches!(step.status, StepStatus::Settled | StepStatus::Failed));
            journal.push(step.clone());
        }
        journal.sort_unstable_by_key(|step| step.seq);
        Claimed {
            fence: Fence { execution: row.id, epoch: row.epoch },
            agent: row.agent.clone(),
            version: row.version.clone(),
            event: row.event.clone(),
            attempt,
            crashes: row.crashes,
            journal,
        }
    }

    pub(super) fn backlog(&self, agent: &AgentId) -> (u64, Option<i64>) {
        let numbers = self.unfinished.get(agent).into_iter().flatten();
        let queued = numbers.map(|number| &self.rows[*number]).filter(|row| row.status == ExecutionStatus::Queued);
        queued.fold((0, None), |(count, due), row| {
            (count + 1, Some(due.map_or(row.available_at, |due: i64| due.min(row.available_at))))
        })
    }

    pub(super) fn release(&mut self, fence: Fence, why: Release, now: i64) -> Result<()> {
        let number = self.hold(fence)?;
        let row = &mut self.rows[number];
        row.status = ExecutionStatus::Queued;
        row.available_at = now;
        row.crashes += u32::from(why == Release::Crashed);
        Ok(())
    }

    /// A node's end: its lease goes too.
    pub(super) fn leave(&mut self, node: &NodeId, now: i64) -> u64 {
        self.nodes.remove(node);
        self.free(node, now, 0)
    }

    pub(super) fn leases(&self, now: i64) -> Vec<NodeLease> {
        let lease = |(node, until): (&NodeId, &i64)| NodeLease {
            node: node.clone(),
            until: from_millis(*until),
            alive: *until >= now,
        };
        self.nodes.iter().map(lease).collect()
    }

    pub(super) fn due_agents(&self, limit: u32, now: i64) -> Vec<AgentId> {
        let due = |number: &usize| {
            let row = &self.rows[*number];
            match row.status {
                ExecutionStatus::Queued => row.available_at <= now,
                ExecutionStatus::Running => row.node.as_ref().is_none_or(|node| self.is_dead(node, now)),
                _ => false,
            }
        };
        let agents = self.unfinished.iter().filter(|(_, numbers)| numbers.iter().any(due));
        agents.map(|(agent, _)| agent.clone()).take(limit as usize).collect()
    }

    /// Queues again what a node holds, counted as so many crashes each.
    pub(super) fn free(&mut self, node: &NodeId, now: i64, crashes: u32) -> u64 {
        for out in self.outbox.values_mut() {
            if out.lease.as_ref().is_some_and(|(owner, _)| owner == node) {
                out.lease = None;
            }
        }
        let mut count = 0;
        for number in self.unfinished.values().flatten() {
            let row = &mut self.rows[*number];
            if row.status == ExecutionStatus::Running && row.node.as_ref() == Some(node) {
                row.status = ExecutionStatus::Queued;
                row.available_at = now;
                row.crashes += crashes;
                count += 1;
            }
        }
        count
    }

    /// Asks an execution to end, also one that has not reached the inbox.
    pub(super) fn cancel(&mut self, id: ExecutionId, failure: Failure, now: i64) -> bool {
        let Some(number) = self.by_id.get(&id).copied() else {
            return self.close(id, ExecutionStatus::Cancelled, &failure, now);
        };
        if self.rows[number].finished_at.is_some() {
            return self.close(id, ExecutionStatus::Cancelled, &failure, now);
        }
        // The new epoch tells the one who works on it, at its next write.
        self.rows[number].epoch += 1;
        self.end_call(CallResult::failed(id, ExecutionStatus::Cancelled, failure.clone()), now);
        self.end(number, ExecutionStatus::Cancelled, Some(failure), now);
        self.close_plan_run(number, now);
        let open = |asked: &&mut Clarification| asked.execution_id == id && asked.status == ClarificationStatus::Open;
        let mut told = Vec::new();
        for asked in self.questions.iter_mut().filter(open) {
            asked.status = ClarificationStatus::Cancelled;
            if let Some(to @ ReplyTo::Slack(_)) = asked.reply_to.clone() {
                let text = "The question is cancelled.".to_owned();
                let (card, trace_id) = (Some(asked.id), asked.trace_id);
                told.push(Outgoing::Reply { to, text, is_error: false, card, trace_id });
            }
        }
        if let Some(to @ ReplyTo::Slack(_)) = self.rows[number].event.reply_to.clone() {
            let (text, trace_id) = (STOPPED.to_owned(), self.rows[number].event.trace_id);
            told.push(Outgoing::Reply { to, text, is_error: false, card: None, trace_id });
        }
        told.into_iter().for_each(|outgoing| self.send(outgoing, None, now));
        true
    }

    pub(super) fn heartbeat(&mut self, node: &NodeId, until: i64) {
        self.nodes.insert(node.clone(), until);
    }

    /// Whether the caller works on the attempt that it names.
    pub(super) fn in_attempt(&self, number: usize, attempt: u32) -> Result<()> {
        let now = self.rows[number].attempt;
        if attempt == now {
            return Ok(());
        }
        let what = format!("the claim is on attempt {now}, the step belongs to attempt {attempt}");
        Err(Error::Conflict { what })
    }
}

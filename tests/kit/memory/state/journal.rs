//! Journal, finish and checkpoints.

use greenroom_contract::{
    AgentId,
    clock::from_millis,
    execution::{Fence, Intended, Settled, Step, StepKind},
    port::{
        llm::Usage,
        memory::{Memory, Remember},
        state::{Checkpoint, CheckpointKey, Conclusion, Error, Finish, NewCheckpoint, Result, Spent, USAGE_BUCKET_MS},
    },
    status::{ExecutionStatus, StepStatus},
};

use super::tables::{Conversation, Tables, conflict};

impl Tables {
    pub(super) fn journal(
        &mut self,
        fence: Fence,
        settle: Option<Settled>,
        intend: Option<Intended>,
        now: i64,
    ) -> Result<()> {
        let number = self.hold(fence)?;
        if let Some(settle) = &settle {
            self.may_settle(number, settle)?;
        }
        if let Some(intend) = &intend {
            self.may_intend(number, intend)?;
        }
        if let Some(settle) = settle {
            self.settle(number, settle, now);
        }
        if let Some(intend) = intend {
            self.intend(number, intend, now);
        }
        Ok(())
    }

    fn step(&self, number: usize, attempt: u32, seq: u32) -> Option<&Step> {
        self.rows[number].steps.iter().find(|step| (step.attempt, step.seq) == (attempt, seq))
    }

    fn may_settle(&self, number: usize, settle: &Settled) -> Result<()> {
        if settle.status == StepStatus::Intended {
            return Err(conflict("a step settles as settled, failed or unknown"));
        }
        self.in_attempt(number, settle.attempt)?;
        match self.step(number, settle.attempt, settle.seq) {
            Some(step) if step.status == StepStatus::Intended => Ok(()),
            Some(_) => Err(Error::Fenced),
            None => Err(Error::NotFound { what: format!("step {} of attempt {}", settle.seq, settle.attempt) }),
        }
    }

    fn may_intend(&self, number: usize, intend: &Intended) -> Result<()> {
        self.in_attempt(number, intend.attempt)?;
        match self.step(number, intend.attempt, intend.seq) {
            Some(step) if step.status != StepStatus::Intended || step.request_hash != intend.request_hash => {
                let place = format!("step {} of attempt {}", intend.seq, intend.attempt);
                Err(conflict(format!("{place} was another call before, or has its outcome already")))
            }
            _ => Ok(()),
        }
    }

    fn settle(&mut self, number: usize, settled: Settled, now: i64) {
        let row = &mut self.rows[number];
        let at = (settled.attempt, settled.seq);
        let Some(step) = row.steps.iter_mut().find(|step| (step.attempt, step.seq) == at) else { return };
        let called = step.kind == StepKind::Llm && settled.status == StepStatus::Settled;
        if settled.status != StepStatus::Unknown {
            self.settled.insert(step.idempotency_key.clone());
        }
        step.status = settled.status;
        step.result = Some(settled.result);
        step.usage = settled.usage;
        step.cost = settled.cost;
        step.duration_ms = Some(settled.duration_ms);
        if called || settled.usage.is_some() || settled.cost.is_some() {
            let account = self.usage.entry((row.agent.clone(), now.div_euclid(USAGE_BUCKET_MS))).or_default();
            count(account, called, settled.usage.unwrap_or_default());
            account.cost = account.cost + settled.cost.unwrap_or_default();
        }
    }

    fn intend(&mut self, number: usize, intend: Intended, now: i64) {
        let intended_at = from_millis(now);
        let row = &mut self.rows[number];
        let at = (intend.attempt, intend.seq);
        if let Some(step) = row.steps.iter_mut().find(|step| (step.attempt, step.seq) == at) {
            // The same call intended again keeps its idempotency key.
            step.intended_at = intended_at;
            return;
        }
        row.steps.push(Step {
            attempt: intend.attempt,
            seq: intend.seq,
            kind: intend.kind,
            name: intend.name,
            status: StepStatus::Intended,
            effect: intend.effect,
            request_hash: intend.request_hash,
            idempotency_key: intend.idempotency_key,
            result: None,
            usage: None,
            cost: None,
            replays: 0,
            intended_at,
            duration_ms: None,
        });
    }

    pub(super) fn finish(&mut self, fence: Fence, finish: Finish, now: i64) -> Result<()> {
        let number = self.hold(fence)?;
        let Finish { conclusion, settle, checkpoint, outbox, call, remembers, plan_run } = finish;
        if let Some(settle) = &settle {
            self.may_settle(number, settle)?;
        }
        if let Some(checkpoint) = &checkpoint {
            self.may_save(number, checkpoint)?;
        }
        if let Conclusion::Ended { status, .. } = &conclusion
            && (!status.is_final() || *status == ExecutionStatus::Succeeded)
        {
            return Err(conflict(format!("an execution does not end without success as {status}")));
        }
        if let Some(settle) = settle {
            self.settle(number, settle, now);
        }
        if let Some(NewCheckpoint { key, data, append, .. }) = checkpoint {
            let kept = self.conversation(key, now);
            kept.data = data;
            kept.messages.extend(append);
        }
        for outgoing in outbox {
            self.send(outgoing, None, now);
        }
        for Remember { key, text } in remembers {
            let key = (self.rows[number].agent.clone(), key);
            match text {
                Some(text) => drop(self.memories.insert(key, (now, text))),
                None => drop(self.memories.remove(&key)),
            }
        }
        if let Some(plan_run) = plan_run {
            self.write_plan_run(number, *plan_run, now);
        }
        if let Some(result) = call {
            self.end_call(result, now);
        }
        match conclusion {
            Conclusion::Succeeded(output) => {
                self.rows[number].output = Some(output);
                self.end(number, ExecutionStatus::Succeeded, None, now);
            }
            Conclusion::Retry { failure, after } => {
                let row = &mut self.rows[number];
                row.status = ExecutionStatus::Queued;
                row.attempt += 1;
                row.available_at = now + after.as_millis() as i64;
                row.error = Some(failure);
            }
            Conclusion::Ended { status, failure } => {
                self.end(number, status, Some(failure.clone()), now);
                self.close_plan_run(number, now);
                if status != ExecutionStatus::Cancelled {
                    self.bury_execution(number, failure, now);
                }
            }
        }
        Ok(())
    }

    pub(super) fn memories(&self, agent: &AgentId, limit: u32) -> Vec<Memory> {
        let own = self.memories.iter().filter(|((owner, _), _)| owner == agent);
        let mut found: Vec<Memory> = own
            .map(|((_, key), (at, text))| Memory { key: key.clone(), text: text.clone(), at: from_millis(*at) })
            .collect();
        found.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.key.cmp(&b.key)));
        found.truncate(limit as usize);
        found
    }

    fn may_save(&self, number: usize, checkpoint: &NewCheckpoint) -> Result<()> {
        let (agent, holder) = (&checkpoint.key.agent, &self.rows[number].agent);
        if agent != holder {
            return Err(conflict(format!("an execution of {holder} may not write the state of {agent}")));
        }
        let version = self.conversations.get(&checkpoint.key).map_or(0, |kept| kept.version);
        if version != checkpoint.replaces {
            return Err(conflict(format!("the state of {agent} is no longer at version {}", checkpoint.replaces)));
        }
        Ok(())
    }

    pub(super) fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> Checkpoint {
        let Some(Conversation { version, data, messages: all, .. }) = self.conversations.get(key) else {
            return Checkpoint::default();
        };
        let newest = all[all.len().saturating_sub(messages as usize)..].to_vec();
        Checkpoint { version: *version, data: data.clone(), length: all.len() as u64, messages: newest }
    }
}

fn count(account: &mut Spent, called: bool, usage: Usage) {
    account.calls += u64::from(called);
    account.usage.input += usage.input;
    account.usage.output += usage.output;
    account.usage.cache_read += usage.cache_read;
    account.usage.cache_write += usage.cache_written();
    account.usage.reasoning += usage.reasoning;
    account.usage.estimated |= usage.estimated;
}

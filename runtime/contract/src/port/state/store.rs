//! The port itself.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Accepted, AgentStates, Arrival, Calls, Checkpoint, CheckpointKey, Claim, Clarifications, DeadLetterFilter,
    ExecutionFilter, Finish, NewDeadLetter, NodeLease, OutboxId, OutboxOutcome, OutboxRow, PendingRow, PlanRuns,
    Release, Replayed, Reservation, Reserved, Result, Schedules, Spent, Submission, Submitted, Swept, Wanted,
};
use crate::{
    BoxFuture,
    execution::Claimed,
    execution::{DeadLetter, Execution, Failure, Fence, Intended, Settled, Step},
    id::{AgentId, ExecutionId, NodeId, TraceId},
    money::MicroUsd,
    page::{Page, PageRequest},
    port::memory::Memory,
};

/// What the person in Slack reads whose work was cancelled.
pub const STOPPED: &str = "This was stopped before it was done.";

/// The store.
pub trait State: AgentStates + Calls + Clarifications + PlanRuns + Schedules {
    // doors and outbox

    /// Takes a command or event in by a door: its outbox row is durable when this returns. A submission with an
    /// `event_id` that was seen before under the same `event_type` changes nothing and returns the first one; with another
    /// payload it is [`Error::Conflict`](super::Error::Conflict). The same `event_id` under another topic is another submission: Slack tells of
    /// one message under two topics, and the inbox lets each subscriber have it once.
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<Submitted>>;

    /// Like [`State::submit`], and the new row is the relay's of `node`, leased to it at once, which then has it without asking:
    /// its id is returned. While others under its topic wait or have failed it is that relay's, but not leased: it comes
    /// after them by [`State::claim_outbox`], and there is no id. Neither is there for a repetition, and a store need lease
    /// nothing.
    fn submit_leased(
        &self,
        submission: Submission,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<(Submitted, Option<OutboxId>)>> {
        let _ = node;
        let submitted = self.submit(submission);
        Box::pin(async move { Ok((submitted.await?, None)) })
    }

    /// Rows of one kind that are due, oldest first, leased to `node` so that no other relay takes them. An event comes after those before
    /// it under its topic: while one of them has failed, neither it nor any other that is younger. Its own come free when their
    /// lease has run out; other nodes' then, too, or when their node is dead, if `lost` asks for them. A store that was
    /// away lets every node's lease run out: who cannot know whether it was leaves others' rows to them.
    fn claim_outbox(&self, node: &NodeId, wanted: Wanted, lost: bool) -> BoxFuture<'_, Result<Vec<OutboxRow>>>;

    /// Says what became of rows that [`State::claim_outbox`] gave.
    fn settle_outbox(&self, outcomes: Vec<(OutboxId, OutboxOutcome)>) -> BoxFuture<'_, Result<()>>;

    /// Makes rows due again whose event was published but reached no inbox, and at once those that had failed. Called at start
    /// and after each reconnect to the bus. Returns how many.
    fn redrive_outbox(&self) -> BoxFuture<'_, Result<u64>>;

    // inbox and claims

    /// Takes a delivery into the inbox: once for each agent and event.
    fn accept(&self, arrival: Arrival) -> BoxFuture<'_, Result<Accepted>>;

    /// Claims executions that are due: queued ones whose time has come, and running ones whose node's lease ran out
    /// (counted as a crash). Higher priority first, then older. Settled steps that a claim hands back are counted as replayed.
    fn claim(&self, claim: Claim) -> BoxFuture<'_, Result<Vec<Claimed>>>;

    /// When the agent's earliest queued execution is due, and how many wait.
    fn backlog(&self, agent: &AgentId) -> BoxFuture<'_, Result<(u64, Option<Timestamp>)>>;

    /// Gives an execution back: queued, due at once, same attempt and journal.
    fn release(&self, fence: Fence, why: Release) -> BoxFuture<'_, Result<()>>;

    /// Renews the node's lease: until `ttl` from now its executions are its own.
    fn heartbeat(&self, node: &NodeId, ttl: Duration) -> BoxFuture<'_, Result<()>>;

    /// At start: everything that this node held before it died is queued again (counted as a crash). Returns how many.
    fn take_back(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>>;

    // nodes of a cluster

    /// At a node's end: its lease is given up, and what it still holds is queued again at once (no crash). Returns how many.
    fn leave(&self, node: &NodeId) -> BoxFuture<'_, Result<u64>>;

    /// Every node that has a lease, or had one and did not leave; by name.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeLease>>>;

    /// Agents that have something to claim now, by name, at most `limit`: executions queued and due, or running under a
    /// lease that ran out. One question for all agents of a node, asked about every second: it has to be cheap.
    fn due_agents(&self, limit: u32) -> BoxFuture<'_, Result<Vec<AgentId>>>;

    /// Holds an agent back on every node and over restarts, or lets it go. Idempotent.
    fn set_paused(&self, agent: &AgentId, paused: bool) -> BoxFuture<'_, Result<()>>;

    /// The agents that are held back, by name.
    fn paused(&self) -> BoxFuture<'_, Result<Vec<AgentId>>>;

    // journal

    /// Settles the last step, if given, and intends the next, in one commit. An intention alone, of a call without effect, may be
    /// answered before it is durable: it is durable with whatever is written next, and lost with a crash of the database the call
    /// is made again, as it would be anyway. A crash of the caller does not lose it.
    fn journal(&self, fence: Fence, settle: Option<Settled>, intend: Option<Intended>) -> BoxFuture<'_, Result<()>>;

    /// Ends the attempt: outcome, last step, checkpoint and outbox rows together.
    fn finish(&self, fence: Fence, finish: Finish) -> BoxFuture<'_, Result<()>>;

    /// Like [`State::finish`], and the events that it sends are leased to the relay of `node` at once, which then has them
    /// without asking: for each place in `finish.outbox` the id of its row. `None` is left to [`State::claim_outbox`]: a
    /// reply, which waits its turn, an event that waits already, and whatever the store does not lease.
    fn finish_leased(
        &self,
        fence: Fence,
        finish: Finish,
        node: &NodeId,
    ) -> BoxFuture<'_, Result<Vec<Option<OutboxId>>>> {
        let _ = node;
        let places = finish.outbox.len();
        let finished = self.finish(fence, finish);
        Box::pin(async move {
            finished.await?;
            Ok(vec![None; places])
        })
    }

    /// Asks a running, queued or waiting execution to end as `cancelled`. It ends now: the claim of a running one is
    /// fenced, the open questions of a waiting one are cancelled, whoever called it is answered, and who asked for it in
    /// Slack is told [`STOPPED`]. Returns whether there was something to cancel.
    fn cancel(&self, execution: ExecutionId, failure: Failure) -> BoxFuture<'_, Result<bool>>;

    // agents' own

    /// The latest state of an agent's conversation, with at most `messages` of its newest messages.
    fn checkpoint(&self, key: &CheckpointKey, messages: u32) -> BoxFuture<'_, Result<Checkpoint>>;

    /// The version of that state alone, 0 for none: a hot tier asks for it, to know whether what it holds is the latest.
    fn checkpoint_version(&self, key: &CheckpointKey) -> BoxFuture<'_, Result<u64>> {
        let latest = self.checkpoint(key, 0);
        Box::pin(async move { Ok(latest.await?.version) })
    }

    /// What the agent keeps in mind, newest first, at most `limit`.
    fn memories(&self, agent: &AgentId, limit: u32) -> BoxFuture<'_, Result<Vec<Memory>>>;

    /// Keeps a version of an agent's definition, so that an execution can finish on the one that it began with. Idempotent;
    /// the version that was given last is the agent's newest.
    fn save_version(&self, agent: &AgentId, version: &str, spec: Value) -> BoxFuture<'_, Result<()>>;

    /// A kept version.
    fn version(&self, agent: &AgentId, version: &str) -> BoxFuture<'_, Result<Option<Value>>>;

    /// Every kept version of an agent's definition, the newest first; at most 100 of them.
    fn versions(&self, agent: &AgentId) -> BoxFuture<'_, Result<Vec<Value>>>;

    /// What each agent spent since the beginning of the quarter of an hour in which `since` lies, by name; who spent nothing
    /// is left out.
    fn usage(&self, since: Timestamp) -> BoxFuture<'_, Result<Vec<(AgentId, Spent)>>>;

    /// Sets money aside for a model call that is about to be made, if what the agent spent since the day began, what is
    /// set aside for its other executions and this fit together into what it may spend. However many ask at once, on
    /// whatever node, they never get more than there is.
    fn reserve(&self, wanted: Reservation) -> BoxFuture<'_, Result<Reserved>>;

    /// What the calls of a node's executions cost since a moment; those of an execution count for the node that had it
    /// last.
    fn spent_by_node(&self, node: &NodeId, since: Timestamp) -> BoxFuture<'_, Result<MicroUsd>>;

    // questions

    /// One execution with its journal. One that a door took and that has not reached the inbox is shown as queued.
    fn execution(&self, id: ExecutionId) -> BoxFuture<'_, Result<Option<Execution>>>;

    /// Executions, newest first, without their journals.
    fn executions(&self, filter: ExecutionFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<Execution>>>;

    /// The journal of an execution over all its attempts.
    fn steps(&self, id: ExecutionId) -> BoxFuture<'_, Result<Vec<Step>>>;

    /// Outbox rows of a workflow that have not gone yet, as `(kind, topic or reply kind, attempts, last error)`.
    fn pending(&self, trace_id: TraceId) -> BoxFuture<'_, Result<Vec<PendingRow>>>;

    // dead letters

    /// Writes a dead letter that came from the bus. The same one twice is written once.
    fn record_dead(&self, letter: NewDeadLetter) -> BoxFuture<'_, Result<i64>>;

    /// Dead letters, newest first.
    fn dead_letters(&self, filter: DeadLetterFilter, page: PageRequest) -> BoxFuture<'_, Result<Page<DeadLetter>>>;

    /// One dead letter.
    fn dead_letter(&self, id: i64) -> BoxFuture<'_, Result<Option<DeadLetter>>>;

    /// Sends a dead letter again: a new event with the same payload and trace to where it came from, in one transaction
    /// with the mark. Twice is [`Error::Conflict`](super::Error::Conflict); one that is no event is [`Error::Conflict`](super::Error::Conflict) too.
    fn replay(&self, id: i64) -> BoxFuture<'_, Result<Replayed>>;

    /// Deletes a dead letter. Returns whether there was one.
    fn purge(&self, id: i64) -> BoxFuture<'_, Result<bool>>;

    // housekeeping

    /// Deletes what ended before a moment, at most about `limit` executions in one transaction, the oldest first; call it
    /// again while [`Swept::more`] says so, and now and then. While another node is at it, nothing is done.
    ///
    /// It deletes executions with their journals, dead letters that were sent again, versions of definitions that no
    /// execution needs, what is known of firings, and leases of nodes that never came back. It never deletes: an execution that has not ended, or of
    /// whose event or to whose agent something still waits in the outbox, or whose dead letter waits for a decision; a dead
    /// letter that was not sent again; each agent's newest version; the state and conversation of an agent; what it keeps
    /// in mind; a pause; a schedule and its newest firing.
    ///
    /// The name of a deleted execution is kept for [`LONG_MEMORY`](super::LONG_MEMORY), so that a duplicate of its event
    /// is [`Accepted::Duplicate`](super::Accepted::Duplicate) as before, and a repeated command is
    /// [`Error::Conflict`](super::Error::Conflict). A store may take two calls, a minute apart, to delete an execution.
    fn sweep(&self, before: Timestamp, limit: u32) -> BoxFuture<'_, Result<Swept>>;

    /// Whether the store can write now, else why not.
    fn health(&self) -> BoxFuture<'_, Result<()>>;
}

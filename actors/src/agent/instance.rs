//! An instance: runs executions, each in a task of its own that it watches, and counts failures in a row.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::{
    ExecutionId, TraceId,
    execution::{Claimed, Failure, Fence},
    port::state::Release,
    task,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;
use tracing::Instrument;

use super::{message::Message as AgentMessage, release::give_back};
use crate::{
    execution::{self, Assignment, Ending, Kit},
    fault::Fault,
    ports::Ports,
};

pub(super) struct Instance;

/// What an instance hears.
pub(super) enum Message {
    /// From its agent: run this.
    Work(Box<Claimed>, Arc<Kit>),
    /// From a watcher: an execution's task has ended.
    Ended(Fence, TraceId, Ending),
    /// From its agent: abort this one.
    Cancel(ExecutionId),
    /// From its agent: end when nothing is at work any more.
    Stop,
}

pub(super) struct Args {
    pub(super) ports: Arc<Ports>,
    pub(super) path: String,
    pub(super) agent: ActorRef<AgentMessage>,
    pub(super) failures_before_restart: u32,
}

pub(super) struct State {
    args: Args,
    /// Each with the epoch of its claim: after a crash the next claim may come before the end of the last is heard.
    tasks: HashMap<ExecutionId, (u64, AbortHandle)>,
    failures_in_a_row: u32,
    stopping: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        // However the instance ends, its executions do not outlive it.
        for (_, task) in self.tasks.values() {
            task.abort();
        }
    }
}

/// Starts an instance under its agent.
pub(super) async fn start(args: Args, agent: ActorCell) -> Result<ActorRef<Message>, Failure> {
    let spawned = Actor::spawn_linked(None, Instance, args, agent).await;
    spawned.map(|(actor, _)| actor).map_err(|error| Failure::new("start_failed", error.to_string()))
}

impl Actor for Instance {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, _: ActorRef<Message>, args: Args) -> Result<State, ActorProcessingErr> {
        Ok(State { args, tasks: HashMap::new(), failures_in_a_row: 0, stopping: false })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Work(claimed, kit) => state.run(&myself, *claimed, kit),
            Message::Ended(fence, trace_id, ending) => state.ended(fence, trace_id, ending)?,
            Message::Cancel(execution) => {
                if let Some((_, task)) = state.tasks.get(&execution) {
                    task.abort();
                }
            }
            Message::Stop => state.stopping = true,
        }
        if state.stopping && state.tasks.is_empty() {
            myself.stop(Some("stopped".to_owned()));
        }
        Ok(())
    }
}

impl State {
    fn run(&mut self, myself: &ActorRef<Message>, claimed: Claimed, kit: Arc<Kit>) {
        let fence = claimed.fence;
        let execution = fence.execution;
        let trace_id = claimed.event.trace_id;
        let span = tracing::info_span!(
            "execution", trace_id = %claimed.event.trace_id, agent = %claimed.agent, execution_id = %execution
        );
        let assignment =
            Assignment { claimed, kit, ports: Arc::clone(&self.args.ports), parent: self.args.path.clone() };
        let work = span.in_scope(|| task::spawn("execution", execution::run(assignment)));
        self.tasks.insert(execution, (fence.epoch, work.abort_handle()));
        let instance = myself.clone();
        let ports = Arc::clone(&self.args.ports);
        let watch = async move {
            let ending = match work.await {
                Ok(ending) => ending,
                Err(error) if error.is_panic() => {
                    let failure = Failure::new("panicked", crate::fault::panic_message(error));
                    tracing::error!(error = %failure, "The execution's task panicked.");
                    Ending::Crashed(failure)
                }
                Err(_) => Ending::Fenced,
            };
            if let Ending::Crashed(_) = ending {
                // Before anyone hears of it: the instance's restart would give it back uncounted.
                give_back(ports, fence, Release::Crashed).await;
            }
            // An instance that has ended left the execution to its agent.
            drop(instance.send_message(Message::Ended(fence, trace_id, ending)));
        };
        task::spawn("execution-watcher", watch.instrument(span));
    }

    fn ended(&mut self, fence: Fence, trace_id: TraceId, ending: Ending) -> Result<(), ActorProcessingErr> {
        if self.tasks.get(&fence.execution).is_some_and(|(epoch, _)| *epoch == fence.epoch) {
            self.tasks.remove(&fence.execution);
        }
        let verdict = verdict(&mut self.failures_in_a_row, self.args.failures_before_restart, &ending);
        drop(self.args.agent.send_message(AgentMessage::Ended { fence, trace_id, ending }));
        match verdict {
            Some(failure) => Err(Fault::boxed(failure)),
            None => Ok(()),
        }
    }
}

/// Whether the instance is to be restarted after an execution's end, and why: a panic at once, failures only when there
/// are so many in a row; a success begins the count anew.
fn verdict(in_a_row: &mut u32, allowed: u32, ending: &Ending) -> Option<Failure> {
    match ending {
        Ending::Succeeded => *in_a_row = 0,
        Ending::Fenced => {}
        Ending::Crashed(failure) => return Some(failure.clone()),
        Ending::Failed(failure) => {
            *in_a_row += 1;
            if *in_a_row >= allowed {
                let why = format!("{allowed} executions failed in a row, the last one: {failure}");
                return Some(Failure::new("failing", why));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_in_a_row_restart_and_a_success_between_does_not() {
        let failed = || Ending::Failed(Failure::new("x", "y"));
        let mut count = 0;
        let verdicts: Vec<bool> = [failed(), Ending::Succeeded, failed(), failed(), Ending::Fenced, failed()]
            .iter()
            .map(|ending| verdict(&mut count, 3, ending).is_some())
            .collect();
        assert_eq!(verdicts, [false, false, false, false, false, true]);
        assert!(verdict(&mut 0, 3, &Ending::Crashed(Failure::new("panicked", "p"))).is_some());
    }
}

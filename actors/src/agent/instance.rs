//! An instance: runs executions, each in a task of its own that it watches, and counts failures in a row.

use std::{collections::HashMap, sync::Arc};

use greenroom_contract::{
    AgentId, ExecutionId, TraceId,
    execution::{Claimed, Failure, Fence},
    port::state::Release,
    task,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::{task::AbortHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    fate::{Quarantine, SharedFate},
    message::Message as AgentMessage,
    release::give_back,
};
use crate::{
    execution::{self, Assignment, Ending, Kit},
    fault::Fault,
    ports::Ports,
    supervisor::Verdict as Standing,
    watchdog::{Finding, Pulse, Remedy, Stage, Verdict, Watch, escalate, watched},
};

pub(super) struct Instance;

/// What an instance hears.
pub(super) enum Message {
    /// From its agent: run this.
    Work(Box<Claimed>, Arc<Kit>),
    /// From a watcher: an execution's task has ended.
    Ended(Fence, TraceId, Ending),
    /// From the watchdog: an execution is hung or burns its thread. At most one for each is on its way.
    Found(Fence, Finding),
    /// From its agent: abort this one.
    Cancel(ExecutionId),
    /// From its agent: what is at work stops between two calls; it goes on at the next start.
    Adjourn,
    /// From its agent: end when nothing is at work any more.
    Stop,
}

pub(super) struct Args {
    pub(super) ports: Arc<Ports>,
    pub(super) path: String,
    /// The agent's path.
    pub(super) agent_path: String,
    pub(super) agent: ActorRef<AgentMessage>,
    pub(super) failures_before_restart: u32,
    /// The agent's name, by which storms know it.
    pub(super) name: AgentId,
}

pub(super) struct State {
    args: Args,
    /// Each with the fence of its claim: after a crash the next claim may come before the end of the last is heard.
    tasks: HashMap<ExecutionId, Running>,
    failures_in_a_row: u32,
    stopping: bool,
}

/// An execution at work.
struct Running {
    fence: Fence,
    trace_id: TraceId,
    task: AbortHandle,
    cancel: CancellationToken,
    pulse: Arc<Pulse>,
    fate: SharedFate,
    stage: Stage,
    /// Whom its model belongs to.
    provider: String,
    _watch: Watch,
}

impl Drop for State {
    fn drop(&mut self) {
        // However the instance ends, its executions do not outlive it, except one that does not give its thread back.
        let tasks: Vec<Running> = self.tasks.drain().map(|(_, running)| running).collect();
        for running in tasks {
            running.cancel.cancel();
            running.task.abort();
            let spins = matches!(self.args.ports.watchdog.judge(&running.pulse), Verdict::CpuBound { .. });
            if spins && !running.pulse.is_fenced() {
                self.args.quarantine(&running);
            }
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
            Message::Found(fence, finding) => state.found(&myself, fence, &finding),
            Message::Cancel(execution) => {
                if let Some(running) = state.tasks.get(&execution) {
                    running.cancel.cancel();
                    running.task.abort();
                }
            }
            Message::Adjourn => {
                for running in state.tasks.values() {
                    running.fate.adjourn();
                    running.cancel.cancel();
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
        let ports = Arc::clone(&self.args.ports);
        let provider = kit.outfit.llm.provider().to_owned();
        let (pulse, cancel) = (ports.watchdog.pulse(), CancellationToken::new());
        let assignment = Assignment {
            claimed,
            kit,
            ports: Arc::clone(&ports),
            parent: self.args.path.clone(),
            pulse: Arc::clone(&pulse),
            cancel: cancel.clone(),
        };
        let work =
            span.in_scope(|| {
                let pulse = Arc::clone(&pulse);
                task::spawn_on(&ports.executions, "execution", async move {
                    watched(&pulse, execution::run(assignment)).await
                })
            });
        let watch = ports.watchdog.watch(Arc::clone(&pulse), {
            let instance = myself.clone();
            // One that has ended has dropped its watches too.
            move |finding| drop(instance.send_message(Message::Found(fence, finding)))
        });
        let (task, fate) = (work.abort_handle(), SharedFate::default());
        let running = Running {
            fence,
            trace_id,
            task,
            cancel,
            pulse,
            fate: Arc::clone(&fate),
            stage: Stage::Watched,
            provider,
            _watch: watch,
        };
        self.tasks.insert(execution, running);
        let instance = myself.clone();
        let await_end = async move {
            let ended = work.await;
            if let Some(quarantine) = fate.release() {
                // Everybody has gone on without it.
                quarantine.end(&ended);
                return;
            }
            let ending = fate.judge(ended);
            match ending {
                // Before anyone hears of it: the instance's restart would give it back uncounted.
                Ending::Crashed(_) => give_back(ports, fence, Release::Crashed).await,
                Ending::Cancelled => give_back(ports, fence, Release::Unfinished).await,
                Ending::Succeeded | Ending::Waiting | Ending::Failed(_) | Ending::Fenced => {}
            }
            // An instance that has ended left the execution to its agent.
            drop(instance.send_message(Message::Ended(fence, trace_id, ending)));
        };
        task::spawn("execution-watcher", await_end.instrument(span));
    }

    /// The watchdog has found something: go as far as is due. Nothing here waits for the victim.
    fn found(&mut self, myself: &ActorRef<Message>, fence: Fence, finding: &Finding) {
        let Some(running) = self.tasks.get_mut(&fence.execution).filter(|running| running.fence == fence) else {
            return;
        };
        let patience = &self.args.ports.watchdog.rules().patience;
        let remedy = escalate(&mut running.stage, finding.verdict, finding.at, patience);
        let why = why(finding);
        let (execution_id, trace_id, place) = (fence.execution, running.trace_id, self.args.path.as_str());
        match remedy {
            Remedy::Wait => {}
            Remedy::Warn => {
                tracing::warn!(%trace_id, %execution_id, place, error = %why, "An execution holds its thread.")
            }
            Remedy::Cancel => {
                tracing::error!(%trace_id, %execution_id, place, error = %why, "A hung execution is asked to end.");
                running.fate.doom(why);
                running.cancel.cancel();
            }
            Remedy::Abort => {
                tracing::error!(%trace_id, %execution_id, place, error = %why, "An execution is killed.");
                running.fate.doom(why);
                running.cancel.cancel();
                running.task.abort();
                self.args.ports.table.update(&self.args.path, |place| place.kills += 1);
            }
            Remedy::Quarantine => {
                tracing::error!(
                    %trace_id, %execution_id, place, error = %why,
                    "A killed execution does not end: it is fenced and left behind, and its work is given to others."
                );
                self.args.quarantine(running);
                let (instance, ports) = (myself.clone(), Arc::clone(&self.args.ports));
                let ended = Message::Ended(fence, trace_id, Ending::Crashed(why));
                task::spawn("quarantine", async move {
                    give_back(ports, fence, Release::Crashed).await;
                    // From here on it is like any other crash: a new generation of the instance takes over.
                    drop(instance.send_message(ended));
                });
            }
        }
    }

    /// Tells the breaker how work ended. Whether the failure is one that many have at once: then it is not this agent's.
    fn is_by_storm(&self, provider: &str, ending: &Ending) -> bool {
        let (storm, name, now) = (&self.args.ports.storm, self.args.name.as_str(), Instant::now());
        match ending {
            // Who came to a question has got through so far.
            Ending::Succeeded | Ending::Waiting => {
                storm.succeeded(name, now);
                false
            }
            Ending::Failed(failure) => match cause(failure, provider) {
                Some(cause) => matches!(storm.failed(name, &cause, now), Standing::Paused(_)),
                None => false,
            },
            Ending::Fenced | Ending::Cancelled | Ending::Crashed(_) => false,
        }
    }

    fn ended(&mut self, fence: Fence, trace_id: TraceId, ending: Ending) -> Result<(), ActorProcessingErr> {
        let mine = self.tasks.get(&fence.execution).is_some_and(|running| running.fence == fence);
        let running = if mine { self.tasks.remove(&fence.execution) } else { None };
        let provider = running.map(|running| running.provider).unwrap_or_default();
        let verdict = match self.is_by_storm(&provider, &ending) {
            true => None,
            false => verdict(&mut self.failures_in_a_row, self.args.failures_before_restart, &ending),
        };
        drop(self.args.agent.send_message(AgentMessage::Ended { fence, trace_id, ending }));
        match verdict {
            Some(failure) => Err(Fault::boxed(failure)),
            None => Ok(()),
        }
    }
}

impl Args {
    fn quarantine(&self, running: &Running) {
        running.pulse.fence();
        let (dog, table) = (&self.ports.watchdog, &self.ports.table);
        running.fate.quarantine(Quarantine::begin(dog, table, &self.agent_path, &self.path, running.fence.execution));
    }
}

/// The provider's trouble that a failure comes of, if it does.
fn cause(failure: &Failure, provider: &str) -> Option<String> {
    let by_provider = ["rate_limited", "provider_unavailable", "provider_timeout", "authentication", "quota_exhausted"];
    by_provider.contains(&failure.code.as_str()).then(|| format!("{} {provider}", failure.code))
}

/// A finding as the failure that it is.
fn why(finding: &Finding) -> Failure {
    let (at, op) = (finding.at, &finding.op);
    match finding.verdict {
        Verdict::CpuBound { since } => {
            let held = at.saturating_sub(since);
            Failure::new("cpu_bound", format!("it has held its thread for {held:.1?} without a pause ({op})"))
        }
        Verdict::Hung { since } => {
            let silent = at.saturating_sub(since);
            Failure::new("hung", format!("it was silent for {silent:.1?}, longer than allowed ({op})"))
        }
        Verdict::Idle | Verdict::Busy | Verdict::Progressing => Failure::new("killed", op.clone()),
    }
}

/// Whether the instance is to be restarted after an execution's end, and why: when so many failed in a row; a success
/// begins the count anew. A panic is contained by its own task and counts as a failure, so that one poison event, which
/// is given up after as many crashes, costs its agent no more than one restart. What had to be killed restarts at once.
fn verdict(in_a_row: &mut u32, allowed: u32, ending: &Ending) -> Option<Failure> {
    match ending {
        Ending::Succeeded => *in_a_row = 0,
        Ending::Fenced | Ending::Cancelled | Ending::Waiting => {}
        Ending::Crashed(failure) if failure.code != crate::fault::PANICKED => return Some(failure.clone()),
        Ending::Failed(failure) | Ending::Crashed(failure) => {
            *in_a_row += 1;
            if *in_a_row >= allowed {
                let why = format!("executions that failed in a row: {allowed}; the last one: {}", failure.message);
                return Some(Failure::new(&failure.code, why));
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
        assert!(verdict(&mut 0, 3, &Ending::Crashed(Failure::new("panicked", "p"))).is_none());
        assert!(verdict(&mut 2, 3, &Ending::Crashed(Failure::new("panicked", "p"))).is_some());
    }
}

//! The `ractor` part of an agent: one function of the shell per message. What is seldom done and takes more than a moment is
//! boxed: an agent's task keeps room for the largest of what it may wait for, and there may be ten thousand.

use std::sync::Arc;

use greenroom_contract::execution::Failure;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::{Facts, handle::AgentHandle, message::Message, shell::Shell};
use crate::{
    execution::Behaviour,
    fault::exit_of,
    ports::Ports,
    supervisor::{ChildSpec, Event, Policy, SupervisorHandle},
};

/// An agent as a child of the agents' supervisor. `handle` points at whichever generation is up and holds the definition
/// that it begins with; `facts` are kept current by it; `behaviour` is what it does with an event.
pub fn agent(
    ports: Arc<Ports>,
    handle: AgentHandle,
    facts: Arc<Facts>,
    behaviour: Arc<dyn Behaviour>,
    policy: Policy,
) -> ChildSpec {
    let (address, world) = (handle.clone(), Arc::clone(&ports));
    ChildSpec {
        name: handle.definition().spec.name.to_string(),
        kind: "agent",
        policy,
        start: Arc::new(move |supervisor, generation| {
            let args = Args {
                ports: Arc::clone(&ports),
                handle: handle.clone(),
                facts: Arc::clone(&facts),
                behaviour: Arc::clone(&behaviour),
                generation,
                supervisor: SupervisorHandle::of(supervisor.clone()),
            };
            Box::pin(async move {
                let spawned = Actor::spawn_linked(None, Agent, args, supervisor).await;
                spawned
                    .map(|(actor, _)| actor.get_cell())
                    .map_err(|error| Failure::new("start_failed", error.to_string()))
            })
        }),
        stop: Arc::new(|cell, within| {
            // One that ended just now needs no telling.
            drop(ActorRef::<Message>::from(cell.clone()).send_message(Message::Stop(within)));
        }),
        rested: Some(Arc::new(move || address.rested(&world))),
    }
}

struct Agent;

/// What a generation of a shell is made of.
pub(super) struct Args {
    pub(super) ports: Arc<Ports>,
    pub(super) handle: AgentHandle,
    pub(super) facts: Arc<Facts>,
    pub(super) behaviour: Arc<dyn Behaviour>,
    pub(super) generation: u32,
    pub(super) supervisor: SupervisorHandle,
}

impl Actor for Agent {
    type Msg = Message;
    /// Boxed, because its task would keep room for it more than once.
    type State = Box<Shell>;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Message>, args: Args) -> Result<Box<Shell>, ActorProcessingErr> {
        Ok(Box::new(Shell::begin(&myself, args)))
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        shell: &mut Box<Shell>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Fitted { fitting, definition, result } => {
                Box::pin(shell.fitted(&myself, fitting, definition, result)).await;
            }
            Message::Ping(asked) => {
                shell.pong(asked);
                return Ok(());
            }
            Message::Claimed(parcel) => Box::pin(shell.claimed(&myself, parcel)).await,
            Message::Ended { fence, trace_id, ending } => shell.ended(&myself, fence, trace_id, &ending),
            Message::Due { child, generation } => {
                Box::pin(shell.decide(&myself, Event::Due { child, generation })).await;
            }
            Message::Overdue { instance } => shell.kill(instance),
            Message::Passivate(turn) => shell.passivate(turn),
            Message::Unfed(feeder) => shell.unfed(&myself, feeder),
            Message::Rest(feeder) => {
                if shell.rest(&myself, feeder) {
                    return Ok(());
                }
            }
            Message::Admit => shell.admit(&myself),
            Message::FitAgain(fitting) => shell.fit_again(&myself, fitting),
            Message::Reload(definition) => shell.reload(&myself, definition),
            Message::Pause => shell.pause(),
            Message::Resume => shell.resume(&myself),
            Message::Restart => Box::pin(shell.restart(&myself)).await,
            Message::Look => {
                shell.look();
                return Ok(());
            }
            Message::Cancel(execution) => shell.cancel(execution),
            Message::Drain(done) => shell.drain(done),
            Message::Stop(within) => shell.stop(&myself, within),
            Message::Adjourn => shell.adjourn(),
            Message::GiveUp => shell.give_up(&myself),
            #[cfg(test)]
            Message::Busy(work) => work.await,
        }
        shell.settle();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        shell: &mut Box<Shell>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some((id, exit)) = exit_of(&event) {
            Box::pin(shell.instance_ended(&myself, id, exit)).await;
            shell.settle();
        }
        Ok(())
    }
}

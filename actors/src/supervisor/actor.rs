//! The `ractor` part: hears what happens to the children and has the core decide about it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use greenroom_contract::{execution::Failure, status::AgentStatus, tree::Table};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{sync::oneshot, time::Instant};

use super::{
    event::Event,
    handle::SupervisorHandle,
    message::{ChildSpec, Message},
    policy::Exit,
    state,
    step::step,
};
use crate::fault::{Fault, exit_of};

/// A supervisor over children that are added and removed at any time.
pub struct Supervisor;

/// Where a supervisor stands in the tree.
pub struct Args {
    pub(super) table: Table,
    pub(super) path: String,
    pub(super) core: state::State,
    /// Those that it has from its start on.
    pub(super) children: Vec<ChildSpec>,
    /// Whether its own supervisor has entered it in the tree.
    pub(super) entered: bool,
}

/// A supervisor's memory.
pub struct State {
    pub(super) table: Table,
    pub(super) path: String,
    pub(super) born: Instant,
    pub(super) core: state::State,
    pub(super) specs: HashMap<String, ChildSpec>,
    /// Those that were added while their namesake was on its way out.
    pub(super) next_specs: HashMap<String, ChildSpec>,
    pub(super) up: BTreeMap<ActorId, (String, u32)>,
    pub(super) cells: HashMap<String, ActorCell>,
    /// Those that were asked to stop and are still up. A namesake that was added later is not one of them.
    pub(super) told: HashSet<ActorId>,
    pub(super) all_down: Vec<oneshot::Sender<()>>,
    /// How it ends once all its children are down, if it ends then.
    pub(super) ending: Option<Ending>,
    pub(super) down: bool,
}

/// How a supervisor ends.
pub(super) enum Ending {
    /// As it was told.
    Stopped,
    /// Because of a child that its parent is to decide about.
    Escalated(Failure),
}

impl Supervisor {
    /// Starts a supervisor at `path` of the tree, under `parent` if there is one. `core` says how its children stand
    /// to one another.
    pub async fn start(
        table: Table,
        path: &str,
        core: state::State,
        parent: Option<ActorCell>,
    ) -> Result<(SupervisorHandle, ActorCell), Failure> {
        let args = Args { table, path: path.to_owned(), core, children: Vec::new(), entered: path.is_empty() };
        let spawned = match parent {
            Some(parent) => Actor::spawn_linked(None, Supervisor, args, parent).await,
            None => Actor::spawn(None, Supervisor, args).await,
        };
        let (actor, _join) = spawned.map_err(|error| Failure::new("start_failed", error.to_string()))?;
        let cell = actor.get_cell();
        Ok((SupervisorHandle::new(actor), cell))
    }
}

impl Actor for Supervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Message>, args: Args) -> Result<State, ActorProcessingErr> {
        if !args.entered {
            args.table.enter(&args.path, "supervisor", AgentStatus::Running);
        }
        for child in args.children {
            myself.send_message(Message::Add(child))?;
        }
        Ok(State {
            table: args.table,
            path: args.path,
            born: Instant::now(),
            core: args.core,
            specs: HashMap::new(),
            next_specs: HashMap::new(),
            up: BTreeMap::new(),
            cells: HashMap::new(),
            told: HashSet::new(),
            all_down: Vec::new(),
            ending: None,
            down: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = match message {
            Message::Add(spec) => Some(state.wanted(spec)),
            Message::Remove(child) => Some(Event::Remove { child }),
            Message::Drain(child) => Some(Event::Drain { child }),
            Message::Rouse(child) => Some(Event::Rouse { child }),
            Message::Refresh(child) => Some(Event::Refresh { child }),
            Message::Kill(child) => state.kill_deaf(&myself, child),
            Message::Due { child, generation } => Some(Event::Due { child, generation }),
            Message::Overdue { child, generation } => state.kill_overdue(&myself, child, generation),
            Message::Lost { child, generation } => state.give_up(child, generation),
            Message::Stop => {
                state.ending.get_or_insert(Ending::Stopped);
                Some(Event::StopAll)
            }
            Message::StopAll(done) => {
                state.all_down.push(done);
                Some(Event::StopAll)
            }
        };
        state.decide(&myself, event).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = exit_of(&event).and_then(|(id, exit)| state.ended(id, exit));
        let ended = state.decide(&myself, event).await;
        state.show_waiting();
        ended
    }
}

impl State {
    fn wanted(&mut self, spec: ChildSpec) -> Event {
        let event = Event::Add { child: spec.name.clone(), policy: spec.policy.clone() };
        match () {
            // The core refuses it, and nothing is to be left of it.
            () if self.core.is_stopping() => {}
            () if self.core.is_leaving(&spec.name) => drop(self.next_specs.insert(spec.name.clone(), spec)),
            () => {
                self.specs.entry(spec.name.clone()).or_insert(spec);
            }
        }
        event
    }

    /// A child's actor is gone. News of one that was given up, or was never known, is late news.
    fn ended(&mut self, id: ActorId, exit: Exit) -> Option<Event> {
        self.told.remove(&id);
        let (child, generation) = self.up.remove(&id)?;
        self.cells.remove(&child);
        Some(Event::Exited { child, generation, exit })
    }

    /// Has the core decide about an event and all that its actions bring about at once. The error is this supervisor's
    /// own end.
    async fn decide(&mut self, myself: &ActorRef<Message>, event: Option<Event>) -> Result<(), ActorProcessingErr> {
        let mut events = VecDeque::from_iter(event);
        while let Some(event) = events.pop_front() {
            self.remember(&event);
            for action in step(&mut self.core, event, self.born.elapsed(), greenroom_contract::jitter()) {
                events.extend(self.carry_out(myself, action).await);
            }
        }
        match self.ending.take_if(|_| self.down) {
            Some(Ending::Escalated(failure)) => Err(Fault::boxed(failure)),
            Some(Ending::Stopped) => {
                myself.stop(Some("stopped".to_owned()));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn remember(&self, event: &Event) {
        if let Event::Exited { child, exit, .. } = event
            && let Some(failure) = exit.failure()
        {
            let path = self.path_of(child);
            tracing::warn!(child.path = path, error = %failure, "A child ended abnormally.");
            self.table.failed(&path, failure.clone(), None);
        }
    }

    /// Whoever was stopped for another's sake waits for its turn to start.
    fn show_waiting(&self) {
        for child in self.core.waiting() {
            self.table.status(&self.path_of(child), AgentStatus::Restarting);
        }
    }

    pub(super) fn path_of(&self, child: &str) -> String {
        if self.path.is_empty() { child.to_owned() } else { format!("{}/{child}", self.path) }
    }
}

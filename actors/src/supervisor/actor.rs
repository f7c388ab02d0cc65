//! The `ractor` part: hears what happens to the children and carries out what [`super::step`] decides.

use std::collections::{BTreeMap, HashMap, VecDeque};

use greenroom_contract::{
    execution::Failure,
    status::AgentStatus,
    tree::{Budget, Table},
};
use jiff::Timestamp;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::{sync::oneshot, time::Instant};

use super::{
    handle::SupervisorHandle,
    message::{ChildSpec, Message},
    policy::Exit,
    step::{self, Action, Event, step},
};
use crate::fault::exit_of;

/// A supervisor: one-for-one over children that are added and removed at any time.
pub struct Supervisor;

/// Where a supervisor stands in the tree.
pub struct Args {
    table: Table,
    path: String,
    core: step::State,
}

/// A supervisor's memory.
pub struct State {
    table: Table,
    path: String,
    born: Instant,
    core: step::State,
    specs: HashMap<String, ChildSpec>,
    up: BTreeMap<ActorId, (String, u32)>,
    cells: HashMap<String, ActorCell>,
    all_down: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    /// Starts a supervisor at `path` of the tree, under `parent` if there is one. `core` says how its children stand
    /// to one another.
    pub async fn start(
        table: Table,
        path: &str,
        core: step::State,
        parent: Option<ActorCell>,
    ) -> Result<(SupervisorHandle, ActorCell), Failure> {
        let args = Args { table, path: path.to_owned(), core };
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

    async fn pre_start(&self, _: ActorRef<Message>, args: Args) -> Result<State, ActorProcessingErr> {
        if !args.path.is_empty() {
            args.table.enter(&args.path, "supervisor", AgentStatus::Running);
        }
        Ok(State {
            table: args.table,
            path: args.path,
            born: Instant::now(),
            core: args.core,
            specs: HashMap::new(),
            up: BTreeMap::new(),
            cells: HashMap::new(),
            all_down: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let event = match message {
            Message::Add(spec) => state.wanted(spec),
            Message::Remove(child) => Event::Remove { child },
            Message::Refresh(child) => Event::Refresh { child },
            Message::Due { child, generation } => Event::Due { child, generation },
            Message::Overdue { child, generation } => {
                state.kill_overdue(&child, generation);
                return Ok(());
            }
            Message::StopAll(done) => {
                state.all_down.push(done);
                Event::StopAll
            }
        };
        state.decide(&myself, event).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((id, exit)) = exit_of(&event) else { return Ok(()) };
        if let Some((child, generation)) = state.up.remove(&id) {
            state.cells.remove(&child);
            state.decide(&myself, Event::Exited { child, generation, exit }).await;
        }
        Ok(())
    }
}

impl State {
    fn wanted(&mut self, spec: ChildSpec) -> Event {
        let event = Event::Add { child: spec.name.clone(), policy: spec.policy.clone() };
        self.specs.entry(spec.name.clone()).or_insert(spec);
        event
    }

    async fn decide(&mut self, myself: &ActorRef<Message>, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.remember(&event);
            for action in step(&mut self.core, event, self.born.elapsed(), crate::jitter()) {
                events.extend(self.carry_out(myself, action).await);
            }
        }
    }

    /// Does one action; what it brings about at once is returned as the next event.
    async fn carry_out(&mut self, myself: &ActorRef<Message>, action: Action) -> Option<Event> {
        match action {
            Action::Start { child, generation } => self.start(myself, child, generation).await,
            Action::Stop { child, generation, within } => {
                if let (Some(cell), Some(spec)) = (self.cells.get(&child), self.specs.get(&child)) {
                    (spec.stop)(cell, within);
                    myself.send_after(within, move || Message::Overdue { child, generation });
                }
                None
            }
            Action::Wake { child, generation, after } => {
                self.note_backoff(&child, after);
                myself.send_after(after, move || Message::Due { child, generation });
                None
            }
            Action::Park { child, exit } => {
                tracing::error!(
                    child.path = self.path_of(&child),
                    error = exit.failure().map(ToString::to_string),
                    "A child used up its restarts and is parked until an operator restarts it."
                );
                self.table.status(&self.path_of(&child), AgentStatus::Failed);
                None
            }
            Action::Forget { child } => {
                self.specs.remove(&child);
                self.table.bury(&self.path_of(&child));
                None
            }
            Action::AllStopped => {
                for done in self.all_down.drain(..) {
                    // The asker may have given up waiting; the children are down all the same.
                    done.send(()).ok();
                }
                None
            }
        }
    }

    async fn start(&mut self, myself: &ActorRef<Message>, child: String, generation: u32) -> Option<Event> {
        let spec = self.specs.get(&child)?;
        self.table.enter(&self.path_of(&child), spec.kind, AgentStatus::Starting);
        match (spec.start)(myself.get_cell(), generation).await {
            Ok(cell) => {
                self.up.insert(cell.get_id(), (child.clone(), generation));
                self.cells.insert(child.clone(), cell);
                self.table.update(&self.path_of(&child), |place| {
                    // A child that says more of itself (an agent) has already done so.
                    if place.status == AgentStatus::Starting && place.kind != "agent" {
                        place.status = AgentStatus::Running;
                    }
                });
                Some(Event::Started { child, generation })
            }
            Err(failure) => Some(Event::Exited { child, generation, exit: Exit::StartFailed(failure) }),
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

    fn note_backoff(&self, child: &str, after: std::time::Duration) {
        let in_window = self.core.restarts_in_window(child, self.born.elapsed());
        let policy = self.specs.get(child).map(|spec| spec.policy.clone());
        self.table.update(&self.path_of(child), |place| {
            place.status = AgentStatus::Restarting;
            place.since = Timestamp::now();
            place.restarts += 1;
            place.budget = policy.map(|policy| Budget {
                in_window,
                max_restarts: policy.max_restarts,
                window_ms: policy.window.as_millis() as u64,
                next_at: Timestamp::now().checked_add(after).ok(),
            });
        });
    }

    fn kill_overdue(&self, child: &str, generation: u32) {
        let Some(cell) = self.cells.get(child) else { return };
        if self.up.get(&cell.get_id()).is_some_and(|(_, up)| *up == generation) {
            tracing::warn!(child.path = self.path_of(child), "A child did not stop in time and is killed.");
            cell.kill();
        }
    }

    fn path_of(&self, child: &str) -> String {
        if self.path.is_empty() { child.to_owned() } else { format!("{}/{child}", self.path) }
    }
}

//! Real actors as children, which end on cue.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use greenroom_contract::{NodeId, execution::Failure, status::AgentStatus, tree::Table};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;

use crate::{
    fault::{ASLEEP, Fault},
    supervisor::{ChildSpec, Policy},
};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cue {
    Finish,
    Leave,
    Fail,
    Panic,
    Hang,
    Sleep,
    /// From its supervisor.
    Stop,
}

#[derive(Clone)]
pub(super) struct Birth {
    pub(super) name: String,
    pub(super) generation: u32,
    pub(super) actor: ActorRef<Cue>,
    pub(super) task: AbortHandle,
}

/// Who was born and who died, and how the next births and the next words to stop go.
#[derive(Default)]
pub(super) struct Stage {
    births: Mutex<Vec<Birth>>,
    playbill: Mutex<Vec<String>>,
    /// So many of the next starts fail, panic or hang.
    pub(super) fail: AtomicU32,
    pub(super) panic: AtomicU32,
    pub(super) hang: AtomicU32,
    /// Whether children ignore being told to stop, or their telling panics.
    pub(super) stubborn: AtomicU32,
    pub(super) stop_panics: AtomicU32,
    /// How often somebody fell asleep, and how many of the next tellings panic.
    pub(super) rested: AtomicU32,
    pub(super) rest_panics: AtomicU32,
}

impl Stage {
    pub(super) fn table() -> Table {
        Table::new(&NodeId::new("n1"))
    }

    pub(super) fn child(self: &Arc<Self>, name: &str, policy: Policy) -> ChildSpec {
        let (stage, own) = (Arc::clone(self), name.to_owned());
        let (stopper, sleeper) = (Arc::clone(self), Arc::clone(self));
        ChildSpec {
            name: name.to_owned(),
            kind: "service",
            policy,
            start: Arc::new(move |supervisor, generation| {
                let (stage, name) = (Arc::clone(&stage), own.clone());
                assert!(!take(&stage.panic), "the start panics before there is a future");
                Box::pin(async move { stage.start(name, generation, supervisor).await })
            }),
            stop: Arc::new(move |cell, _within| {
                assert!(!take(&stopper.stop_panics), "the telling panics");
                drop(ActorRef::<Cue>::from(cell.clone()).send_message(Cue::Stop));
            }),
            rested: Some(Arc::new(move || {
                sleeper.rested.fetch_add(1, Ordering::Relaxed);
                assert!(!take(&sleeper.rest_panics), "the telling panics");
            })),
        }
    }

    async fn start(self: Arc<Self>, name: String, generation: u32, above: ActorCell) -> Result<ActorCell, Failure> {
        if take(&self.fail) {
            return Err(Failure::new("unstarted", "the start fails"));
        }
        if take(&self.hang) {
            std::future::pending::<()>().await;
        }
        let puppet = Puppet { name: name.clone(), stage: Arc::clone(&self) };
        let spawned = Actor::spawn_linked(None, puppet, (), above).await;
        let (actor, join) = spawned.map_err(|error| Failure::new("start_failed", error.to_string()))?;
        self.playbill.lock().unwrap().push(format!("+{name}{generation}"));
        let cell = actor.get_cell();
        self.births.lock().unwrap().push(Birth { name, generation, actor, task: join.abort_handle() });
        Ok(cell)
    }

    /// The newest of this name.
    pub(super) fn newest(&self, name: &str) -> Option<Birth> {
        self.births.lock().unwrap().iter().rev().find(|birth| birth.name == name).cloned()
    }

    pub(super) fn generation(&self, name: &str) -> u32 {
        self.newest(name).map_or(0, |birth| birth.generation)
    }

    pub(super) fn cue(&self, name: &str, cue: Cue) {
        if let Some(birth) = self.newest(name) {
            drop(birth.actor.send_message(cue));
        }
    }

    /// Births (+) and obeyed stops (-), in their order.
    pub(super) fn playbill(&self) -> Vec<String> {
        self.playbill.lock().unwrap().clone()
    }

    /// Waits until this generation is up.
    pub(super) async fn up(&self, name: &str, generation: u32) {
        until(&format!("{name} {generation} is up"), || self.generation(name) == generation).await;
    }
}

/// Waits for a state on paused time, at most a virtual hour.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..360_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came about that {what}");
}

pub(super) fn status(table: &Table, path: &str) -> Option<AgentStatus> {
    table.place(path).map(|place| place.status)
}

/// Takes one of a count, if there is one left.
fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

struct Puppet {
    name: String,
    stage: Arc<Stage>,
}

impl Actor for Puppet {
    type Msg = Cue;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Cue>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Cue>, cue: Cue, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match cue {
            Cue::Finish => myself.stop(None),
            Cue::Sleep => myself.stop(Some(ASLEEP.to_owned())),
            Cue::Leave => myself.stop(Some("it left".to_owned())),
            Cue::Fail => return Err(Fault::boxed(Failure::new("boom", "on cue"))),
            Cue::Panic => panic!("on cue"),
            Cue::Hang => std::future::pending().await,
            Cue::Stop if take(&self.stage.stubborn) => {}
            Cue::Stop => {
                self.stage.playbill.lock().unwrap().push(format!("-{}", self.name));
                myself.stop(Some("stopped".to_owned()));
            }
        }
        Ok(())
    }
}

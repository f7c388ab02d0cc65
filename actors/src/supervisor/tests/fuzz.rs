//! The supervisor's handlers under any message and any event of ractor, true or made up: they never panic, never fail,
//! and the supervisor can always be brought to its end with nothing left over.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use greenroom_contract::execution::Failure;
use proptest::prelude::*;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use super::{
    kit::*,
    stage::{Cue, Stage},
};
use crate::{
    fault::Fault,
    supervisor::{Message, Restart, State as Core, Strategy as Ties, Supervisor, actor},
};

const NAMES: [&str; 3] = ["a", "b", "c"];

type Heard = Arc<Mutex<VecDeque<Result<Message, SupervisionEvent>>>>;

/// Stands where the supervisor's actor would, and only keeps what it hears, so that the test decides when it is handled.
struct Ear(Heard);

impl Actor for Ear {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.0.lock().unwrap().push_back(Ok(message));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Message>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.lock().unwrap().push_back(Err(event));
        Ok(())
    }
}

struct Fuzzed {
    ear: ActorRef<Message>,
    heard: Heard,
    state: actor::State,
    stage: Arc<Stage>,
}

impl Fuzzed {
    async fn new(core: Core) -> Self {
        let heard = Heard::default();
        let (ear, _) = Actor::spawn(None, Ear(Arc::clone(&heard)), ()).await.unwrap();
        let (table, path) = (Stage::table(), String::new());
        let args = actor::Args { table, path, core, children: Vec::new(), entered: true };
        let state = Supervisor.pre_start(ear.clone(), args).await.unwrap();
        Self { ear, heard, state, stage: Arc::default() }
    }

    async fn tell(&mut self, message: Message) {
        Supervisor.handle(self.ear.clone(), message, &mut self.state).await.unwrap();
    }

    async fn inject(&mut self, event: SupervisionEvent) {
        Supervisor.handle_supervisor_evt(self.ear.clone(), event, &mut self.state).await.unwrap();
    }

    /// Lets time go by, and handles what was heard meanwhile.
    async fn pass(&mut self, secs: u64) {
        tokio::time::sleep(Duration::from_millis(secs * 1000 + 1)).await;
        loop {
            let next = self.heard.lock().unwrap().pop_front();
            match next {
                Some(Ok(message)) => self.tell(message).await,
                Some(Err(event)) => self.inject(event).await,
                None => return,
            }
        }
    }

    async fn deed(&mut self, (which, name, generation, detail): (u8, usize, u32, u64)) {
        let child = NAMES[name].to_owned();
        let known = self.stage.newest(&child).map(|birth| birth.actor.get_cell());
        let someone = known.unwrap_or_else(|| self.ear.get_cell());
        let restart = [Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Temporary];
        match which {
            0 | 1 => {
                let spec = self.stage.child(&child, policy(restart[detail as usize % 4]));
                self.tell(Message::Add(spec)).await;
            }
            2 => self.tell(Message::Remove(child)).await,
            3 => self.tell(Message::Drain(child)).await,
            4 if detail % 2 == 0 => self.tell(Message::Refresh(child)).await,
            4 => self.tell(Message::Rouse(child)).await,
            5 => self.tell(Message::Due { child, generation }).await,
            6 => self.tell(Message::Overdue { child, generation }).await,
            7 => self.tell(Message::Lost { child, generation }).await,
            8 => self.inject(SupervisionEvent::ActorStarted(someone)).await,
            9 => self.inject(SupervisionEvent::ActorFailed(someone, "made up".into())).await,
            10 => {
                let error = Fault::boxed(Failure::new("boom", "made up"));
                self.inject(SupervisionEvent::ActorFailed(someone, error)).await;
            }
            11 => {
                let reason =
                    [None, Some("killed"), Some("actor_task_cancelled"), Some("Drained"), Some(""), Some("asleep")];
                let reason = reason[detail as usize % 6].map(str::to_owned);
                self.inject(SupervisionEvent::ActorTerminated(someone, None, reason)).await;
            }
            12 => {
                let counts = [&self.stage.fail, &self.stage.panic, &self.stage.hang, &self.stage.stubborn];
                counts[detail as usize % 4].store(1, Relaxed);
            }
            13 => [&self.stage.stop_panics, &self.stage.rest_panics][detail as usize % 2].store(1, Relaxed),
            14..=17 => {
                let cues = [Cue::Finish, Cue::Leave, Cue::Fail, Cue::Panic, Cue::Hang, Cue::Sleep];
                self.stage.cue(&child, cues[detail as usize % 6]);
                self.pass(0).await;
            }
            _ => self.pass([0, 1, 4, 60, 300, 900][detail as usize % 6]).await,
        }
    }

    async fn end(&mut self) {
        let (done, mut all_down) = oneshot::channel();
        self.tell(Message::StopAll(done)).await;
        for _ in 0..30 {
            self.pass(1).await;
        }
        all_down.try_recv().expect("all are down within three times five seconds");
        assert!(self.state.up.is_empty() && self.state.cells.is_empty(), "somebody is left");
        assert!(self.state.next_specs.is_empty());
        let known: Vec<&str> = self.state.core.names().collect();
        assert_eq!(self.state.specs.len(), known.len(), "a spec is left of {:?}", self.state.specs.keys());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_handlers_never_panic_and_never_fail(
        ties in prop::sample::select(vec![Ties::OneForOne, Ties::RestForOne, Ties::OneForAll]),
        deeds in prop::collection::vec((0_u8..24, 0..NAMES.len(), 0_u32..8, 0_u64..60), 0..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut fuzzed = Fuzzed::new(Core::with_strategy(ties)).await;
            for deed in deeds {
                fuzzed.deed(deed).await;
            }
            fuzzed.end().await;
            fuzzed.ear.stop(None);
        });
    }
}

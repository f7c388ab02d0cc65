//! The shell: everything an agent does when it hears something. It never waits for the outside world.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use greenroom_config::load::Definition;
use greenroom_contract::{
    ExecutionId,
    execution::{Claimed, Failure},
    port::state::Release,
    status::AgentStatus,
    task,
    tree::Budget,
};
use ractor::{ActorId, ActorRef};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Facts,
    feeder::Feeder,
    fitting::fit,
    instance,
    message::Message,
    release::give_back,
    staff::{Held, Staff},
};
use crate::{
    execution::{Ending, Kit},
    ports::Ports,
    supervisor::{Action, Event, Exit, Policy, State as Core, step},
};

/// What is kept back of the time to stop, for giving back what did not finish.
const GIVE_BACK_TIME: Duration = Duration::from_millis(1500);

pub(super) struct Shell {
    ports: Arc<Ports>,
    facts: Arc<Facts>,
    path: String,
    /// The definition that is wanted; the kit's may be an older one while the new one is fitted out.
    definition: Arc<Definition>,
    fitting: u32,
    kit: Option<Arc<Kit>>,
    feeder: Option<DropGuard>,
    credits: Arc<Semaphore>,
    poke: Arc<Notify>,
    core: Core,
    born: Instant,
    staff: Staff,
    restarts: u32,
    paused: bool,
    stopping: bool,
    unavailable: Option<Failure>,
    parked: Option<Failure>,
    drains: Vec<oneshot::Sender<()>>,
}

impl Shell {
    pub(super) fn new(ports: Arc<Ports>, definition: Arc<Definition>, facts: Arc<Facts>, path: String) -> Self {
        let credits = Arc::new(Semaphore::new(definition.spec.capacity() as usize));
        Self {
            ports,
            facts,
            path,
            definition,
            fitting: 0,
            kit: None,
            feeder: None,
            credits,
            poke: Arc::default(),
            core: Core::with_shared_budget(),
            born: Instant::now(),
            staff: Staff::default(),
            restarts: 0,
            paused: false,
            stopping: false,
            unavailable: None,
            parked: None,
            drains: Vec::new(),
        }
    }

    // ---- versions

    pub(super) fn fit_out(&mut self, myself: &ActorRef<Message>) {
        self.fitting += 1;
        fit(Arc::clone(&self.ports), Arc::clone(&self.definition), self.fitting, myself.clone());
    }

    pub(super) fn reload(&mut self, myself: &ActorRef<Message>, definition: Arc<Definition>) {
        self.definition = definition;
        self.fit_out(myself);
    }

    pub(super) async fn fitted(
        &mut self,
        myself: &ActorRef<Message>,
        fitting: u32,
        definition: Arc<Definition>,
        result: Result<Arc<Kit>, Failure>,
    ) {
        if fitting != self.fitting || self.stopping {
            return;
        }
        let agent = definition.spec.name.to_string();
        match result {
            Ok(kit) => {
                tracing::info!(agent, version = kit.version, "Agent is ready.");
                self.unavailable = None;
                self.facts.took_over(&definition, &kit);
                self.take_over(myself, kit).await;
            }
            Err(failure) if self.kit.is_some() => {
                tracing::error!(agent, error = %failure, "The changed definition cannot be used; the last good one goes on.");
                self.ports.table.failed(&self.path, failure, None);
            }
            Err(failure) => {
                let trace_id = greenroom_contract::TraceId::new();
                tracing::error!(agent, %trace_id, error = %failure, "Agent is unavailable.");
                self.ports.table.failed(&self.path, failure.clone(), Some(trace_id));
                self.unavailable = Some(failure);
            }
        }
    }

    async fn take_over(&mut self, myself: &ActorRef<Message>, kit: Arc<Kit>) {
        let before = self.kit.replace(Arc::clone(&kit));
        if before.is_none_or(|before| before.spec.capacity() != kit.spec.capacity()) {
            // What is at work keeps its credits of the old count; for a while both counts are at work.
            self.credits = Arc::new(Semaphore::new(kit.spec.capacity() as usize));
        }
        let policy = Policy::of(&kit.spec.supervision);
        let wanted = if kit.spec.ordered() { 1 } else { kit.spec.instances };
        let surplus: Vec<String> =
            self.core.names().filter(|name| name.parse::<u32>().is_ok_and(|n| n >= wanted)).map(String::from).collect();
        for child in surplus {
            self.decide(myself, Event::Remove { child }).await;
        }
        for n in 0..wanted {
            let child = n.to_string();
            self.core.set_policy(&child, policy.clone());
            self.decide(myself, Event::Add { child, policy: policy.clone() }).await;
        }
        self.feed(myself);
    }

    /// Starts the feeder, or a new one in place of the old, if the agent is to take work.
    fn feed(&mut self, myself: &ActorRef<Message>) {
        let (Some(kit), false, false, None) = (&self.kit, self.paused, self.stopping, &self.parked) else {
            self.feeder = None;
            return;
        };
        let feeder = Feeder {
            ports: Arc::clone(&self.ports),
            kit: Arc::clone(kit),
            credits: Arc::clone(&self.credits),
            poke: Arc::clone(&self.poke),
            agent: myself.clone(),
            stop: CancellationToken::new(),
        };
        self.feeder = Some(feeder.start());
    }

    // ---- work

    pub(super) fn claimed(&mut self, claimed: Claimed, credit: OwnedSemaphorePermit) {
        self.staff.take_on(claimed, credit);
        self.hand_out();
        if self.stopping || self.parked.is_some() {
            let unstarted = self.staff.unstarted();
            self.give_back(unstarted);
        }
    }

    fn hand_out(&mut self) {
        let Some(kit) = self.kit.clone() else { return };
        while let Some((claimed, instance)) = self.staff.assign() {
            // An instance that ended just now gives back what it holds when its end is heard.
            drop(instance.send_message(instance::Message::Work(Box::new(claimed), Arc::clone(&kit))));
        }
    }

    pub(super) fn ended(&mut self, execution: ExecutionId, ending: &Ending) {
        self.staff.done(execution);
        if let Ending::Failed(failure) | Ending::Crashed(failure) = ending {
            self.ports.table.failed(&self.path, failure.clone(), None);
            self.poke.notify_one();
        }
    }

    pub(super) fn cancel(&mut self, execution: ExecutionId) {
        self.staff.cancel(execution);
    }

    fn give_back(&self, held: Vec<Held>) {
        let (ports, poke) = (Arc::clone(&self.ports), Arc::clone(&self.poke));
        if held.is_empty() {
            return;
        }
        task::spawn("give-back", async move {
            for one in held {
                give_back(Arc::clone(&ports), one.fence, Release::Unfinished).await;
            }
            poke.notify_one();
        });
    }

    // ---- instances

    pub(super) async fn instance_ended(&mut self, myself: &ActorRef<Message>, id: ActorId, exit: Exit) {
        let Some((child, generation, held)) = self.staff.left(id) else { return };
        if let Some(failure) = exit.failure() {
            tracing::warn!(agent = %self.definition.spec.name, instance = child, error = %failure, "An instance ended abnormally.");
            self.ports.table.failed(&format!("{}/{child}", self.path), failure.clone(), None);
        }
        self.give_back(held);
        self.decide(myself, Event::Exited { child, generation, exit }).await;
    }

    pub(super) fn kill(&mut self, child: &str, generation: u32) {
        self.staff.kill(child, generation);
    }

    pub(super) async fn decide(&mut self, myself: &ActorRef<Message>, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in step(&mut self.core, event, self.born.elapsed(), crate::jitter()) {
                events.extend(self.carry_out(myself, action).await);
            }
        }
    }

    async fn carry_out(&mut self, myself: &ActorRef<Message>, action: Action) -> Option<Event> {
        match action {
            Action::Start { child, generation } => return Some(self.start_instance(myself, child, generation).await),
            Action::Stop { child, generation, within } => {
                self.staff.dismiss(&child);
                myself.send_after(within, move || Message::Overdue { child, generation });
            }
            Action::Wake { child, generation, after } => {
                self.restarts += 1;
                self.ports.table.update(&format!("{}/{child}", self.path), |place| {
                    place.status = AgentStatus::Restarting;
                    place.restarts += 1;
                });
                tracing::info!(
                    agent = %self.definition.spec.name, instance = child, restart_in_ms = after.as_millis() as u64,
                    "An instance is restarted."
                );
                myself.send_after(after, move || Message::Due { child, generation });
            }
            Action::Park { child, exit } => self.park(&child, &exit),
            Action::Forget { child } => self.ports.table.bury(&format!("{}/{child}", self.path)),
            Action::AllStopped => {}
        }
        None
    }

    async fn start_instance(&mut self, myself: &ActorRef<Message>, child: String, generation: u32) -> Event {
        let path = format!("{}/{child}", self.path);
        self.ports.table.enter(&path, "instance", AgentStatus::Running);
        let args = instance::Args {
            ports: Arc::clone(&self.ports),
            path,
            agent: myself.clone(),
            failures_before_restart: self.definition.spec.supervision.failures_before_restart,
        };
        match instance::start(args, myself.get_cell()).await {
            Ok(actor) => {
                self.staff.joined(&child, generation, actor);
                Event::Started { child, generation }
            }
            Err(failure) => Event::Exited { child, generation, exit: Exit::StartFailed(failure) },
        }
    }

    fn park(&mut self, child: &str, exit: &Exit) {
        let cause = exit.failure().cloned().unwrap_or_else(|| Failure::new("ended", "it ended by itself"));
        let max = self.definition.spec.supervision.max_restarts;
        let window = self.definition.spec.supervision.window;
        let why = format!("it was restarted {max} times within {window} and failed again; last cause: {cause}");
        tracing::error!(agent = %self.definition.spec.name, error = %cause, "Agent is parked as failed; its messages wait in the queue.");
        self.ports.table.status(&format!("{}/{child}", self.path), AgentStatus::Failed);
        self.parked = Some(Failure::new("restart_budget_spent", why));
        self.feeder = None;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
    }

    // ---- operators

    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.feeder = None;
    }

    pub(super) fn resume(&mut self, myself: &ActorRef<Message>) {
        self.paused = false;
        self.feed(myself);
    }

    pub(super) async fn restart(&mut self, myself: &ActorRef<Message>) {
        tracing::info!(agent = %self.definition.spec.name, "Agent is started afresh by an operator.");
        self.parked = None;
        self.paused = false;
        let children: Vec<String> = self.core.names().map(String::from).collect();
        for child in children {
            self.decide(myself, Event::Refresh { child }).await;
        }
        // Credentials and tool servers may have changed, not only the agent's luck.
        self.fit_out(myself);
    }

    // ---- the end

    pub(super) fn drain(&mut self, done: oneshot::Sender<()>) {
        self.feeder = None;
        self.stopping = true;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
        self.drains.push(done);
    }

    pub(super) fn stop(&mut self, myself: &ActorRef<Message>, within: Duration) {
        self.feeder = None;
        self.stopping = true;
        let unstarted = self.staff.unstarted();
        self.give_back(unstarted);
        if self.staff.is_idle() {
            myself.stop(Some("stopped".to_owned()));
        } else {
            myself.send_after(within.saturating_sub(GIVE_BACK_TIME), || Message::GiveUp);
            let (done, drained) = oneshot::channel();
            self.drains.push(done);
            let agent = myself.clone();
            task::spawn("agent-drained", async move {
                if drained.await.is_ok() {
                    agent.stop(Some("stopped".to_owned()));
                }
            });
        }
    }

    /// The time to finish is over: what is at work is aborted and given back, to be resumed where it is.
    pub(super) fn give_up(&mut self, myself: &ActorRef<Message>) {
        let held = self.staff.abandon();
        self.ports.given_back.fetch_add(held.len() as u64, Ordering::Relaxed);
        tracing::warn!(agent = %self.definition.spec.name, executions = held.len(), "Executions did not finish in time; they are given back.");
        let (ports, agent) = (Arc::clone(&self.ports), myself.clone());
        task::spawn("give-back", async move {
            let all = async {
                for one in held {
                    give_back(Arc::clone(&ports), one.fence, Release::Unfinished).await;
                }
            };
            if tokio::time::timeout(GIVE_BACK_TIME, all).await.is_err() {
                tracing::warn!("Not everything could be given back in time; the next start of this node takes it up.");
            }
            agent.stop(Some("stopped".to_owned()));
        });
    }

    // ---- after every message

    /// Hands out what waits, answers who waits for the drain, and shows how things are.
    pub(super) fn settle(&mut self, _myself: &ActorRef<Message>) {
        self.hand_out();
        if self.staff.is_idle() {
            for done in self.drains.drain(..) {
                // Whoever asked may have given up.
                done.send(()).ok();
            }
        }
        let (status, reason) = self.status();
        let running = self.staff.running() as u32;
        let restarts = self.restarts;
        self.facts.change(|view| {
            view.status = status;
            view.reason.clone_from(&reason);
            view.running = running;
            view.restarts = restarts;
        });
        let waiting = self.staff.waiting() as u64;
        let supervision = &self.definition.spec.supervision;
        let budget = Budget {
            in_window: self.core.restarts_in_window("0", self.born.elapsed()),
            max_restarts: supervision.max_restarts,
            window_ms: supervision.window.0.as_millis() as u64,
            next_at: None,
        };
        self.ports.table.status(&self.path, status);
        for (instance, load) in self.staff.loads() {
            let status = if load > 0 { AgentStatus::Running } else { AgentStatus::Idle };
            self.ports.table.status(&format!("{}/{instance}", self.path), status);
        }
        self.ports.table.update(&self.path, |place| {
            place.inbox = waiting;
            place.restarts = restarts;
            place.budget = Some(budget);
        });
    }

    fn status(&self) -> (AgentStatus, Option<Failure>) {
        if let Some(failure) = &self.parked {
            return (AgentStatus::Failed, Some(failure.clone()));
        }
        if let Some(failure) = &self.unavailable {
            return (AgentStatus::Unavailable, Some(failure.clone()));
        }
        let status = match () {
            () if self.paused => AgentStatus::Paused,
            () if self.kit.is_none() => AgentStatus::Starting,
            () if !self.staff.any_up() => AgentStatus::Restarting,
            () if self.staff.running() > 0 => AgentStatus::Running,
            () => AgentStatus::Idle,
        };
        (status, None)
    }
}

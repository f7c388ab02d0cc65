//! One agent under its supervisor, with fake ports round it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use greenroom_config::{
    AgentSpec,
    load::{Definition, Loaded},
};
use greenroom_contract::{
    BoxFuture, BoxStream, Clock, Event, MicroUsd, NodeId, TraceId,
    execution::Failure,
    port::{
        llm::{self, Chunk, Llm, Request, ToolUse, Usage},
        operator::AgentView,
        tool::{self, Answer, Call, ToolSpec, Toolset},
    },
    status::AgentStatus,
    tree::{Place, Table},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};

use super::{bus::Queues, store::Store};
use crate::{
    caretaker::Vitals,
    execution::{Behaviour, Context, Trouble},
    orchestrator::{Orchestrator, rounds},
    porter::porter,
    ports::{Outfit, Outfitter, Ports},
    supervisor::{Breaker, State as Children, Supervisor, SupervisorHandle},
    watchdog::{Rules, Sampler, Time, Watchdog},
};

/// The wall's time of a moment of the runtime's clock, so that both can be held still together.
pub(super) fn wall(at: Instant) -> Timestamp {
    let now = Instant::now();
    let ahead = at.saturating_duration_since(now);
    RuntimeClock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
}

struct RuntimeClock;

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        // Only differences count: both clocks of a test stand still together, so the difference is exact.
        Timestamp::UNIX_EPOCH
    }
}

/// What the agent does with an event, by the event's words.
#[derive(Default)]
pub(crate) struct Script {
    /// How often it was asked to do something.
    pub(crate) runs: AtomicU32,
    /// Ends a spin.
    pub(crate) enough: AtomicBool,
    /// Lets those go that wait.
    pub(crate) go: Notify,
    /// Outfits made.
    pub(crate) outfits: AtomicU32,
    /// Outfits closed.
    pub(crate) closed: AtomicU32,
    /// Whether the model's provider is down.
    pub(crate) down: AtomicBool,
    /// Whether outfits are refused.
    pub(crate) unfit: AtomicBool,
}

struct Player(Arc<Script>);

impl Behaviour for Player {
    fn perform<'a>(&'a self, context: &'a mut Context) -> BoxFuture<'a, Result<Value, Trouble>> {
        Box::pin(async move {
            let run = self.0.runs.fetch_add(1, Ordering::SeqCst);
            let words = context.event().payload["input"].as_str().unwrap_or_default().to_owned();
            match words.as_str() {
                "hang once" if run == 0 => std::future::pending::<()>().await,
                "hang" => std::future::pending::<()>().await,
                "wait" => {
                    context.working("waiting", Duration::from_secs(3600));
                    self.0.go.notified().await;
                }
                "stream" => {
                    for _ in 0..300 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        context.working("a chunk", Duration::from_secs(10));
                    }
                }
                "spin once" if run == 0 => {
                    while !self.0.enough.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                }
                "polite" => {
                    context.cancelled().await;
                    return Err(Trouble::Cancelled);
                }
                "call the provider" if self.0.down.load(Ordering::SeqCst) => {
                    return Err(Trouble::passing("provider_unavailable", "503"));
                }
                "use the busy tool" => {
                    let wanted = ToolUse { id: "1".to_owned(), name: "busy".to_owned(), input: json!({}) };
                    return Ok(Value::String(context.use_tool(&wanted).await?.content));
                }
                "panic" => panic!("as the script says"),
                topic if topic.starts_with("emit ") => {
                    let topic = topic["emit ".len()..].to_owned();
                    context.emit(&tool::Emit { topic, payload: json!({}) })?;
                }
                other => {
                    if let Some(code) = other.strip_prefix("fail ") {
                        return Err(Trouble::passing(code, "as the script says"));
                    }
                }
            }
            Ok(json!("done"))
        })
    }
}

struct Mute;

impl Llm for Mute {
    fn provider(&self) -> &str {
        "mute"
    }

    fn model(&self) -> &str {
        "mute"
    }

    fn stream(&self, _: Request) -> BoxStream<'_, Result<Chunk, llm::Error>> {
        Box::pin(futures::stream::empty())
    }

    fn count_tokens(&self, _: &Request) -> BoxFuture<'_, Result<Usage, llm::Error>> {
        Box::pin(std::future::ready(Ok(Usage::default())))
    }

    fn cost(&self, _: &Usage) -> Option<MicroUsd> {
        None
    }
}

struct Wardrobe(Arc<Script>);

impl Outfitter for Wardrobe {
    fn outfit(&self, _: Arc<AgentSpec>) -> BoxFuture<'_, Result<Outfit, Failure>> {
        self.0.outfits.fetch_add(1, Ordering::SeqCst);
        let outfit = match self.0.unfit.load(Ordering::SeqCst) {
            true => Err(Failure::new("tools", "the script refuses")),
            false => Ok(Outfit { llm: Arc::new(Mute), cheaper: None, tools: Arc::new(NoTools(Arc::clone(&self.0))) }),
        };
        Box::pin(std::future::ready(outfit))
    }
}

struct NoTools(Arc<Script>);

impl Toolset for NoTools {
    fn list(&self) -> Vec<ToolSpec> {
        Vec::new()
    }

    fn confirms(&self, _: &str) -> Option<bool> {
        Some(false)
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, tool::Error>> {
        Box::pin(async move {
            if call.name != "busy" {
                return Err(tool::Error::Unknown { name: call.name });
            }
            // Five minutes of work, with a sign of life now and then.
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(30)).await;
                call.life.sign();
            }
            Ok(Answer::text("busy no more"))
        })
    }

    fn degraded(&self) -> Vec<String> {
        Vec::new()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

/// An agent's spec, with more lines of YAML if need be.
fn spec(name: &str, more: &str) -> AgentSpec {
    std::sync::Arc::unwrap_or_clone(definition(name, more).spec)
}

fn definition(name: &str, more: &str) -> Definition {
    let mode = if more.contains("execution_mode:") { "" } else { "execution_mode: autonomous\n" };
    let text = format!("name: {name}\nagent_type: test\n{mode}llm_config: {{provider: scripted}}\n{more}\n");
    greenroom_config::parse(std::path::Path::new("agents/a.yaml"), &text).expect("a test's agent is well-formed")
}

/// Everything that an agent needs, in memory.
pub(crate) struct Bed {
    pub(crate) ports: Arc<Ports>,
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Arc<Queues>,
    pub(crate) script: Arc<Script>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) root: SupervisorHandle,
    _sampler: Sampler,
}

impl Bed {
    /// A node by the runtime's clock, whose watchdog is a task: for paused time.
    pub(crate) async fn paused() -> Self {
        let dog = Watchdog::new(Time::runtime(), Rules::default(), 4);
        let sampler = Sampler::task(dog.clone());
        Self::with(dog, sampler).await
    }

    /// A node whose watchdog is the given one.
    pub(crate) async fn with(dog: Watchdog, sampler: Sampler) -> Self {
        let (store, bus, script) = (Arc::<Store>::default(), Arc::<Queues>::default(), Arc::<Script>::default());
        let node = NodeId::new("n1");
        let ports = Arc::new(Ports {
            node: node.clone(),
            state: Arc::clone(&store) as _,
            bus: Arc::clone(&bus) as _,
            clock: Arc::new(RuntimeClock),
            outfitter: Arc::new(Wardrobe(Arc::clone(&script))),
            table: Table::new(&node),
            outbox: Arc::default(),
            ended: Default::default(),
            given_back: Arc::default(),
            executions: tokio::runtime::Handle::current(),
            lease: Arc::default(),
            dormitory: Arc::default(),
            sorting: Arc::default(),
            watchdog: dog,
            storm: Breaker::default(),
            signs: Arc::new(greenroom_contract::port::reply::NoSigns),
            allowance: Default::default(),
            who: Default::default(),
        });
        let table = ports.table.clone();
        let (root, cell) =
            Supervisor::start(table.clone(), "", Children::default(), None).await.expect("the root starts");
        let (agents, _) = Supervisor::start(table, crate::agent::BRANCH, Children::of_equals(), Some(cell))
            .await
            .expect("the agents' supervisor starts");
        let grace = Duration::from_secs(20);
        let orchestrator = Orchestrator::new(
            Arc::clone(&ports),
            agents,
            Arc::<Vitals>::default(),
            greenroom_config::Roles::all(),
            grace,
        );
        root.add(rounds(orchestrator.clone()));
        root.add(porter(Arc::clone(&ports), Default::default()));
        Self { ports, store, bus, script, orchestrator, root, _sampler: sampler }
    }

    /// Adds an agent that does as the script says, and waits until it is ready.
    pub(crate) async fn agent(&self, name: &str, more: &str) {
        let behaviour = Arc::new(Player(Arc::clone(&self.script)));
        self.orchestrator.add_rust_agent(spec(name, more), behaviour).expect("the name is free");
        self.status(name, AgentStatus::Idle).await;
    }

    /// Gives an agent something to do.
    pub(crate) fn send(&self, name: &str, words: &str) {
        let topic = format!("agent.input.{name}");
        self.bus.queue(&topic).push(Event::new(topic.clone(), "test", TraceId::new(), json!({ "input": words })));
    }

    pub(crate) fn view(&self, name: &str) -> AgentView {
        use greenroom_contract::port::operator::Operator;
        self.orchestrator
            .agents()
            .into_iter()
            .find(|agent| agent.name.as_str() == name)
            .expect("there is such an agent")
    }

    pub(crate) fn place(&self, path: &str) -> Place {
        self.ports.table.place(path).unwrap_or_else(|| panic!("nothing stands at {path}"))
    }

    pub(crate) async fn status(&self, name: &str, status: AgentStatus) {
        self.until(&format!("{name} to be {status}"), || self.view(name).status == status).await;
    }

    /// Waits for a state. With paused time the waits cost nothing.
    pub(crate) async fn until(&self, what: &str, mut seen: impl FnMut() -> bool) {
        for _ in 0..200_000 {
            if seen() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("waited in vain for {what}; executions: {:?}", self.store.fates());
    }
}

impl Drop for Bed {
    /// A loop that spins for ever would keep the runtime of a test that failed from ending.
    fn drop(&mut self) {
        self.script.enough.store(true, Ordering::SeqCst);
    }
}

/// Less common wishes.
impl Bed {
    /// Asks an agent whether it answers, out of turn.
    pub(crate) fn ping(&self, name: &str) {
        assert!(self.orchestrator.handle(name).ping(), "nobody is up");
    }

    /// Makes an agent's shell deaf for as long as the work takes.
    pub(crate) fn busy(&self, name: &str, work: BoxFuture<'static, ()>) {
        self.orchestrator.handle(name).busy(work);
    }

    /// Does what the rounds do about an agent that has not answered for long.
    pub(crate) fn end_deaf(&self, name: &str) {
        self.orchestrator.end_deaf(&name.parse().expect("a name"));
    }

    /// Ends an agent's shell at once.
    pub(crate) fn kill(&self, name: &str) {
        self.orchestrator.handle(name).kill();
    }

    /// Changes an agent's definition.
    pub(crate) async fn reload(&self, name: &str, more: &str) {
        self.orchestrator.handle(name).reload(Arc::new(definition(name, more)));
        tokio::task::yield_now().await;
    }

    /// Says what the folder has now.
    pub(crate) fn folder(&self, agents: &[(&str, &str)]) {
        let agents = agents.iter().map(|(name, more)| (name.parse().expect("a name"), definition(name, more)));
        self.orchestrator.apply(Loaded { agents: agents.collect(), refused: Vec::new() });
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        use greenroom_contract::port::operator::Operator;
        self.orchestrator.agents().iter().any(|agent| agent.name.as_str() == name)
    }

    /// How many instances are up.
    pub(crate) fn instances(&self, name: &str) -> usize {
        let up = |n: &usize| {
            let place = self.ports.table.place(&format!("agents/{name}/{n}"));
            place.is_some_and(|place| matches!(place.status, AgentStatus::Idle | AgentStatus::Running))
        };
        (0..256).filter(up).count()
    }

    /// The first quarantined place of an agent.
    pub(crate) fn quarantined(&self, name: &str) -> Option<Place> {
        let agents = self.ports.table.snapshot().children.into_iter().find(|place| place.id == "agents")?;
        let agent = agents.children.into_iter().find(|place| place.name == name)?;
        agent.children.into_iter().find(|place| place.kind == "quarantined")
    }
}

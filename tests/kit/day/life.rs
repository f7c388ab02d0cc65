//! The day.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use greenroom_actors::orchestrator::rounds;
use greenroom_contract::{
    AgentId, ExecutionId,
    port::operator::{Error, Operator},
};
use tokio::time::Instant;

use super::{
    cast::{CAST, LISTENER, Member, script},
    checks,
    dice::Dice,
    plan::{Happening, happening, work},
};
use crate::house::{House, World};

const HOURS: u64 = 24;
/// Things that just happened, shown when a check fails.
const REMEMBERED: usize = 40;

/// What happened in a day.
#[derive(Debug, Default)]
pub struct Summary {
    /// Events that were taken in.
    pub accepted: usize,
    /// Executions by how they ended.
    pub ended: BTreeMap<&'static str, u64>,
    /// Restarts of agents, as far as their trees remember them.
    pub restarts: u32,
    /// How often the node was taken down and started.
    pub reopened: u32,
    /// How often each thing happened.
    pub happenings: BTreeMap<String, u32>,
}

/// The day so far.
pub(super) struct Life {
    pub(super) world: World,
    house: Option<House>,
    pub(super) accepted: BTreeSet<ExecutionId>,
    /// Executions that tell the listener when they succeed.
    pub(super) tellers: BTreeSet<ExecutionId>,
    /// Agents whose file is away, with the calls that they had made when they were gone.
    pub(super) away: BTreeMap<&'static str, Option<u32>>,
    versions: BTreeMap<&'static str, u32>,
    dice: Dice,
    questions: u64,
    outage: Option<Instant>,
    pub(super) recent: VecDeque<String>,
    summary: Summary,
}

/// Plays a day. The error says which promise was broken and what had just happened.
pub async fn day(seed: u64) -> Result<Summary, String> {
    let world = World::default();
    world.model.plays(script);
    let house = open(&world, &CAST.map(|member| member.yaml(0))).await;
    let mut life = Life {
        world,
        house: Some(house),
        accepted: BTreeSet::new(),
        tellers: BTreeSet::new(),
        away: BTreeMap::new(),
        versions: BTreeMap::new(),
        dice: Dice::new(seed),
        questions: 0,
        outage: None,
        recent: VecDeque::new(),
        summary: Summary::default(),
    };
    for hour in 1..=HOURS {
        life.hour().await.and_then(|()| checks::every_hour(&life)).map_err(|broken| life.tell(seed, hour, &broken))?;
    }
    life.evening().await;
    checks::at_the_end(&life).map_err(|broken| life.tell(seed, HOURS, &broken))?;
    life.summary.accepted = life.accepted.len();
    life.summary.ended = life.world.state.tally();
    life.summary.restarts += restarts(life.house());
    life.house().assert_idle().await;
    if let Some(house) = life.house.take() {
        house.close().await;
    }
    Ok(life.summary)
}

impl Life {
    async fn hour(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3600) {
            let next = happening(&mut self.dice);
            *self.summary.happenings.entry(format!("{next:?}")).or_insert(0) += 1;
            self.happen(next).await;
            let pause = Duration::from_secs(self.dice.number(1, 90));
            self.house().pass(pause).await;
            if self.outage.is_some_and(|until| until <= Instant::now()) {
                self.mend();
            }
            checks::always(self)?;
        }
        Ok(())
    }

    async fn happen(&mut self, next: Happening) {
        let Some(member) = self.dice.pick(&CAST) else { return };
        let name = member.name;
        self.note(format!("{next:?} {name}"));
        match next {
            Happening::Work => self.give(name).await,
            Happening::Burst => {
                for _ in 0..self.dice.number(5, 40) {
                    self.give(name).await;
                }
            }
            Happening::Reload => self.reload(member),
            Happening::Remove => self.remove(name).await,
            Happening::Add => self.add(),
            Happening::Pause => ignore_absent(self.house().machine.pause(&id(name)).await),
            Happening::Resume => ignore_absent(self.house().machine.resume(&id(name)).await),
            Happening::Restart => ignore_absent(self.house().machine.restart(&id(name)).await),
            Happening::Cancel => self.cancel().await,
            Happening::StoreOutage | Happening::BusOutage => {
                let faults =
                    if next == Happening::StoreOutage { &self.world.state.faults } else { self.world.bus.faults() };
                faults.unavailable(true);
                self.outage = Some(Instant::now() + Duration::from_secs(self.dice.number(5, 120)));
            }
            Happening::Latency => {
                let millis = Duration::from_millis(self.dice.number(0, 50));
                self.world.state.faults.latency(millis);
                self.world.bus.faults().latency(millis);
            }
            Happening::Reopen => self.reopen().await,
            // Long enough for agents without work to be flushed from memory.
            Happening::Quiet => self.house().pass(Duration::from_secs(15 * 60)).await,
        }
    }

    async fn give(&mut self, agent: &'static str) {
        self.questions += 1;
        let kind = work(&mut self.dice);
        // What a call tells the listener must not be told by the listener's own work: that would never end.
        let kind = if agent == LISTENER && kind == "tell" { "answer" } else { kind };
        if let Ok(id) = self.house().try_invoke(agent, &format!("{kind} {}", self.questions)).await {
            self.accepted.insert(id);
            if kind == "tell" {
                self.tellers.insert(id);
            }
        }
    }

    fn reload(&mut self, member: Member) {
        if self.away.contains_key(member.name) {
            return;
        }
        let version = self.versions.entry(member.name).or_insert(0);
        *version += 1;
        let text = member.yaml(*version);
        self.house().define(&text);
    }

    async fn remove(&mut self, name: &'static str) {
        if name == LISTENER || self.away.contains_key(name) {
            return;
        }
        self.summary.restarts += self.house().view(name).map_or(0, |view| view.restarts);
        self.house().remove(name);
        self.away.insert(name, None);
    }

    /// Brings back whoever is away.
    fn add(&mut self) {
        for name in std::mem::take(&mut self.away).into_keys() {
            if let Some(member) = CAST.iter().find(|member| member.name == name) {
                self.house().define(&member.yaml(self.versions.get(name).copied().unwrap_or(0)));
            }
        }
    }

    async fn cancel(&mut self) {
        let open: Vec<ExecutionId> = {
            let all = self.world.state.all();
            all.into_iter().filter(|(_, _, status)| !status.is_final()).map(|(id, ..)| id).collect()
        };
        if let Some(id) = self.dice.pick(&open) {
            // It may end by itself meanwhile, and the store may be away.
            drop(self.house().machine.cancel(id).await);
        }
    }

    fn mend(&mut self) {
        self.outage = None;
        self.world.state.faults.unavailable(false);
        self.world.bus.faults().unavailable(false);
        self.note("mended".to_owned());
    }

    /// Takes the node down and starts it again, with the same files.
    async fn reopen(&mut self) {
        self.mend();
        self.summary.reopened += 1;
        self.summary.restarts += restarts(self.house());
        let files = self.house().files();
        let texts: Vec<String> = CAST
            .iter()
            .filter(|member| files.contains_key(&id(member.name)))
            .map(|member| member.yaml(self.versions.get(member.name).copied().unwrap_or(0)))
            .collect();
        if let Some(last) = self.house.take() {
            last.close().await;
        }
        self.house = Some(open(&self.world, &texts).await);
    }

    /// The node that is up now.
    pub(super) fn house(&self) -> &House {
        self.house.as_ref().unwrap_or_else(|| panic!("the node is down"))
    }

    /// The end of the day: everything is mended, everyone is there, and all that was begun is finished.
    async fn evening(&mut self) {
        self.mend();
        self.add();
        for _ in 0..6 * 60 {
            for member in &CAST {
                ignore_absent(self.house().machine.resume(&id(member.name)).await);
                let parked = self.house().view(member.name).is_some_and(|view| view.status.as_str() == "failed");
                if parked {
                    ignore_absent(self.house().machine.restart(&id(member.name)).await);
                }
            }
            self.house().pass(Duration::from_secs(60)).await;
            let open = self
                .world
                .state
                .tally()
                .into_iter()
                .any(|(status, count)| count > 0 && matches!(status, "queued" | "running" | "waiting"));
            if !open && self.world.state.outbox_len() == 0 {
                return;
            }
        }
    }

    fn note(&mut self, what: String) {
        let at = self.house().ports.clock.now();
        self.recent.push_back(format!("{at} {what}"));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    fn tell(&self, seed: u64, hour: u64, broken: &str) -> String {
        let recent: Vec<&str> = self.recent.iter().map(String::as_str).collect();
        format!("seed {seed}, hour {hour}: {broken}\njust before:\n{}", recent.join("\n"))
    }
}

/// A node whose agents are asked whether they answer, and fall asleep.
async fn open(world: &World, agents: &[String]) -> House {
    let house = world.open(agents).await;
    house.adopt(rounds(house.machine.clone()));
    house
}

fn restarts(house: &House) -> u32 {
    house.machine.agents().iter().map(|view| view.restarts).sum()
}

fn id(name: &str) -> AgentId {
    name.parse().unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

/// An agent may be away; anything else is a fault.
fn ignore_absent(result: Result<(), Error>) {
    match result {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(error) => panic!("a verb was refused: {error}"),
    }
}

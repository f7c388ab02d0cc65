//! The service that tells other nodes how this one is, hears them, and does what they ask.

use std::{sync::Arc, time::Duration};

use greenroom_contract::{ExecutionId, port::bus::Broadcast, tree::Place};
use jiff::Timestamp;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    table::Cluster,
    told::Told,
    words::{ALL, COMMAND, ENDED, Ended, Order, TREE, Word, pack, unpack},
};
use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// How often a node tells what changed, if nothing else.
const SPEAK: Duration = Duration::from_millis(500);
/// How often a node tells everything anew at most, however many ask.
const AGAIN: Duration = Duration::from_secs(2);
/// The wait before another try to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// How long ends of executions are collected before they are told.
const COLLECT: Duration = Duration::from_millis(20);
/// How many ends are told at a time.
const ENDS: usize = 2_000;

/// Presence as a service of the node.
pub fn presence(ports: Arc<Ports>, cluster: Arc<Cluster>, orchestrator: Orchestrator) -> ChildSpec {
    service("presence", move |stop| {
        let (ports, cluster, orchestrator) = (Arc::clone(&ports), Arc::clone(&cluster), orchestrator.clone());
        async move {
            let boot = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
            let mut speaker =
                Speaker { ports, cluster, orchestrator, told: Told::new(boot), boot, asked: false, last: None };
            speaker.run(stop).await;
            Ok(())
        }
    })
}

struct Speaker {
    ports: Arc<Ports>,
    cluster: Arc<Cluster>,
    orchestrator: Orchestrator,
    told: Told,
    boot: u64,
    /// Somebody asked for everything.
    asked: bool,
    last: Option<Instant>,
}

impl Speaker {
    async fn run(&mut self, stop: CancellationToken) {
        let Ok(pattern) = ALL.parse::<greenroom_contract::TopicPattern>() else { return };
        let mut ended = self.ports.ended.subscribe();
        // A broker that is slow to answer must not hold up the node's end.
        while let Some(heard) = stop.run_until_cancelled(self.cluster.bus.listen(pattern.clone())).await {
            let mut words = match heard {
                Ok(words) => words,
                Err(error) => {
                    tracing::debug!(%error, "Other nodes cannot be heard; tried again.");
                    drop(tokio::time::timeout(LISTEN_AGAIN, stop.cancelled()).await);
                    continue;
                }
            };
            // Whoever is there tells everything, and so does this node.
            self.cluster.say(TREE, pack(&Word::<&Place>::Ask(None))).await;
            self.asked = true;
            let mut tick = tokio::time::interval(SPEAK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut ends: Vec<ExecutionId> = Vec::new();
            let mut tell_ends = Instant::now();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    word = words.next() => match word {
                        Some(word) => self.hear(&word).await,
                        None => break,
                    },
                    _ = tick.tick() => self.speak().await,
                    id = ended.recv(), if ends.len() < ENDS => match id {
                        Ok(id) => {
                            if ends.is_empty() {
                                tell_ends = Instant::now() + COLLECT;
                            }
                            ends.push(id);
                        }
                        // Who waits finds out by itself.
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => break,
                    },
                    () = tokio::time::sleep_until(tell_ends), if !ends.is_empty() => {
                        let word = Ended { by: self.cluster.face.node.clone(), ids: std::mem::take(&mut ends) };
                        self.cluster.say(ENDED, pack(&word)).await;
                    }
                }
            }
        }
        self.cluster.say(TREE, pack(&Word::<&Place>::Goodbye(self.cluster.face.node.clone()))).await;
    }

    async fn speak(&mut self) {
        let now = Instant::now();
        self.cluster.heard().judge(now);
        if self.asked && self.last.is_none_or(|last| now.duration_since(last) >= AGAIN) {
            (self.asked, self.last) = (false, Some(now));
            self.told.again();
        }
        let (places, agents) = (self.ports.table.places(), self.orchestrator.agents_here());
        for body in self.told.next(&self.cluster.face, &places, &agents) {
            self.cluster.say(TREE, Some(body)).await;
        }
    }

    async fn hear(&mut self, said: &Broadcast) {
        match said.topic.as_str() {
            TREE => self.hear_of_nodes(said).await,
            COMMAND => match unpack::<Order>(&said.body) {
                Some(Order::Do { by, .. }) if by == self.cluster.face.node => {}
                Some(Order::Do { id, by, verb }) => {
                    tracing::info!(by = %by, verb = ?verb, "Another node asks for something to be done here.");
                    self.orchestrator.carry_out(&verb);
                    if !id.is_empty() {
                        let done = Order::Done { id, node: self.cluster.face.node.clone() };
                        self.cluster.say(COMMAND, pack(&done)).await;
                    }
                }
                Some(Order::Done { id, node }) => self.cluster.asks.done(&id, &node),
                None => {}
            },
            ENDED => {
                if let Some(ended) = unpack::<Ended>(&said.body).filter(|ended| ended.by != self.cluster.face.node) {
                    ended.ids.into_iter().for_each(|id| self.ports.ended.heard_of(id));
                }
            }
            _ => {}
        }
    }

    async fn hear_of_nodes(&mut self, said: &Broadcast) {
        let me = &self.cluster.face.node;
        match unpack::<Word<Place>>(&said.body) {
            Some(Word::News(news)) if news.face.node == *me => {
                if news.boot > self.boot {
                    tracing::error!(node = %me, other.addr = news.face.addr,
                        "Another node has this node's name: each takes the other's work for its own. Set GREENROOM_NODE.");
                }
            }
            Some(Word::News(news)) => {
                let node = news.face.node.clone();
                let ask = self.cluster.heard().take(*news, Instant::now(), Timestamp::now());
                if ask {
                    self.cluster.say(TREE, pack(&Word::<&Place>::Ask(Some(node)))).await;
                }
            }
            Some(Word::Ask(node)) => self.asked |= node.is_none_or(|node| node == *me),
            Some(Word::Goodbye(node)) if node != *me => {
                tracing::info!(node = %node, "A node has left.");
                self.cluster.heard().left(&node);
            }
            Some(Word::Goodbye(_)) | None => {}
        }
    }
}

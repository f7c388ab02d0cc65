//! Exchanges, queues and bindings: declared, remembered, and restored on a new connection.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use greenroom_contract::{
    TopicPattern,
    port::bus::{DEAD_LETTER_QUEUE, Error, QueueSpec},
};
use lapin::{ExchangeKind, Queue, types::FieldTable};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    call::call,
    link::Up,
    message::key,
    names::{CLUSTER, COMMANDS, DEAD, EVENTS, UNROUTED, agent_queue, alternate, quorum, unrouted_queue, versioned},
    queue::{as_it_is, bind, close, create, delete, exchange, find, look, passive, revive, unbind},
    young::Young,
};

/// How many queues are restored, and how many are asked about, at a time.
const AT_ONCE: usize = 16;

pub(super) struct Topology {
    settle: Duration,
    pub(super) young: Young,
    known: Mutex<HashMap<String, Known>>,
    /// One declaration of a queue at a time.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// So many declarations ask the broker at a time: thousands of agents start at once, and a connection has 2,047 channels.
    asking: Semaphore,
}

/// What this node knows of a queue.
struct Known {
    /// As it was declared last; nothing once it is retired.
    spec: Option<QueueSpec>,
    /// What the broker calls it: its name, or a version of it.
    actual: String,
    /// The queues that had the name before, with other arguments. Nothing leads to them, and who consumes drains them first.
    old: BTreeSet<String>,
    /// The bindings that this node has made of those, or may have.
    old_bound: BTreeSet<TopicPattern>,
    /// The bindings that this node has made, or may have.
    bound: BTreeSet<TopicPattern>,
    /// The connection on which all of them were made.
    bound_on: Option<u64>,
    /// Since when it is known to be there.
    since: Instant,
    /// The connection on which this node created it, while it is not bound yet.
    unborn: Option<u64>,
}

impl Topology {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            young: Young::new(),
            known: Mutex::default(),
            turns: Mutex::default(),
            asking: Semaphore::new(AT_ONCE),
        }
    }

    /// The exchanges, which every connection needs.
    pub(super) async fn exchanges(up: &Up) -> Result<(), Error> {
        exchange(up, UNROUTED, ExchangeKind::Fanout, true, FieldTable::default()).await?;
        exchange(up, EVENTS, ExchangeKind::Topic, true, alternate()).await?;
        exchange(up, COMMANDS, ExchangeKind::Topic, true, FieldTable::default()).await?;
        exchange(up, DEAD, ExchangeKind::Fanout, true, FieldTable::default()).await?;
        exchange(up, CLUSTER, ExchangeKind::Topic, false, FieldTable::default()).await
    }

    /// The queues that always are: for what died, and for what nobody took.
    pub(super) async fn common_queues(&self, up: &Up) -> Result<(), Error> {
        let there = look(up, DEAD_LETTER_QUEUE).await?;
        let mut channel = as_it_is(up, up.channel().await?, DEAD_LETTER_QUEUE, quorum()).await?;
        if there.is_none() {
            // The dead must be as durable as the living.
            tokio::time::sleep(self.settle).await;
        }
        bind(&channel, DEAD_LETTER_QUEUE, &[(DEAD, ""), (EVENTS, DEAD_LETTER_QUEUE), (COMMANDS, DEAD_LETTER_QUEUE)])
            .await?;
        channel = as_it_is(up, channel, UNROUTED, unrouted_queue()).await?;
        bind(&channel, UNROUTED, &[(UNROUTED, "")]).await?;
        close(channel).await;
        Ok(())
    }

    /// Declares a queue with exactly these bindings, as far as this node has made others. Resolves when the queue is old
    /// enough to keep what it confirms, and bound.
    ///
    /// `held` says that this process consumes it: then nobody else can have deleted it and made it anew, and what was bound is.
    /// What this node publishes and would reach it waits until this has succeeded, in whichever try.
    pub(super) async fn declare(&self, up: &Up, spec: QueueSpec, held: bool) -> Result<(), Error> {
        key(&spec.name)?;
        let turn = self.turn(&spec.name);
        let _turn = turn.lock().await;
        if !held && let Some(known) = self.lock().get_mut(&spec.name) {
            known.bound_on = None;
        }
        if !self.is_declared(&spec) {
            self.young.want(&spec.name, self.unbound(up, &spec));
        }
        let (actual, since) = {
            let _asking = self.asking.acquire().await;
            self.ensure(up, &spec).await?
        };
        sleep_until(since + self.settle).await;
        let _asking = self.asking.acquire().await;
        let channel = up.channel().await?;
        let wanted: BTreeSet<TopicPattern> = spec.bindings.iter().cloned().collect();
        let new = self.unbound(up, &spec);
        let (old, named, left) = {
            let mut known = self.lock();
            let entry = known.entry(spec.name.clone()).or_insert_with(|| Known::at(&actual, since));
            let old: Vec<TopicPattern> = entry.bound.difference(&wanted).cloned().collect();
            entry.bound.extend(wanted.iter().cloned());
            // Until all are made, none counts as made.
            (old, entry.bound_on.take() == Some(up.epoch), (entry.old.clone(), entry.old_bound.clone()))
        };
        let name = (!named).then_some(spec.name.as_str());
        let patterns = new.iter().map(TopicPattern::as_str).chain(name);
        let pairs: Vec<_> = patterns.flat_map(|pattern| [(EVENTS, pattern), (COMMANDS, pattern)]).collect();
        bind(&channel, &actual, &pairs).await?;
        unbind(&channel, &actual, old.iter().map(TopicPattern::as_str)).await?;
        // Only now, so that nothing falls between.
        let (left, left_bound) = left;
        for left in left {
            let topics = wanted.iter().chain(&left_bound).map(TopicPattern::as_str).chain([spec.name.as_str()]);
            unbind(&channel, &left, topics).await?;
        }
        close(channel).await;
        self.young.done(&spec.name);
        let mut known = self.lock();
        if let Some(entry) = known.get_mut(&spec.name) {
            entry.bound = wanted;
            entry.bound_on = Some(up.epoch);
            entry.unborn = None;
            entry.spec = Some(spec);
        }
        Ok(())
    }

    /// Says that this queue is to be declared as soon as there is a connection.
    pub(super) fn want(&self, spec: &QueueSpec) {
        if key(&spec.name).is_ok() && !self.is_declared(spec) {
            self.young.want(&spec.name, spec.bindings.clone());
            self.young.out_of_reach(&spec.name);
        }
    }

    /// Of a queue's bindings those that have not been made on this connection. Agents that share a queue have thousands, and
    /// a changed file changes a few.
    fn unbound(&self, up: &Up, spec: &QueueSpec) -> Vec<TopicPattern> {
        let known = self.lock();
        let bound = known.get(&spec.name).filter(|known| known.bound_on == Some(up.epoch)).map(|known| &known.bound);
        spec.bindings.iter().filter(|topic| bound.is_none_or(|bound| !bound.contains(topic))).cloned().collect()
    }

    /// Makes sure that the queue is there and answers, under a name of its arguments, and says which and since when it is known
    /// to.
    async fn ensure(&self, up: &Up, spec: &QueueSpec) -> Result<(String, Instant), Error> {
        let name = spec.name.as_str();
        if let Some(actual) = self.unborn_elsewhere(up, name) {
            revive(up, &actual).await?;
            self.lock().remove(name);
        }
        if let Some((actual, since)) = self.declared_alike(up, spec)
            && look(up, &actual).await?.is_some()
        {
            return Ok((actual, since));
        }
        let (number, arguments) = agent_queue(spec.sharing);
        let version = versioned(name, number);
        let mut found = find(up, name).await?;
        // Whoever needed the version before needs it still: the plain name is perhaps free again, but not for ever.
        let mut actual = if found.contains_key(&version) { version.clone() } else { name.to_owned() };
        let (mut channel, fits) = create(up, up.channel().await?, &actual, arguments.clone()).await?;
        if !fits && actual != version {
            tracing::warn!(
                queue = name,
                version,
                "A queue exists with other arguments. From now on another takes its place; what waits in it is taken first."
            );
            actual = version;
            channel = create(up, channel, &actual, arguments).await?.0;
        }
        close(channel).await;
        let since = self.seen(up, name, &actual, found.remove(&actual));
        if let Some(known) = self.lock().get_mut(name) {
            known.old = found.into_keys().collect();
        }
        Ok((actual, since))
    }

    /// What the broker calls a queue that this node created on an earlier connection and has not bound.
    fn unborn_elsewhere(&self, up: &Up, name: &str) -> Option<String> {
        let known = self.lock();
        let known = known.get(name)?;
        known.unborn.is_some_and(|epoch| epoch != up.epoch).then(|| known.actual.clone())
    }

    /// What the broker calls a queue that was declared on this connection with the same arguments, and since when it is there.
    fn declared_alike(&self, up: &Up, spec: &QueueSpec) -> Option<(String, Instant)> {
        let known = self.lock();
        let known = known.get(&spec.name)?;
        let alike = known.spec.as_ref().is_some_and(|known| known.sharing == spec.sharing);
        (alike && known.bound_on == Some(up.epoch)).then(|| (known.actual.clone(), known.since))
    }

    /// Notes under which name a queue was found, or created, and returns since when it is known to be there.
    fn seen(&self, up: &Up, name: &str, actual: &str, there: Option<Queue>) -> Instant {
        let now = Instant::now();
        let mut known = self.lock();
        if there.is_some()
            && let Some(known) = known.get(name).filter(|known| known.actual == actual)
        {
            return known.since;
        }
        let old_bound = known.remove(name).map(|known| known.bound).unwrap_or_default();
        match there {
            None => {
                let unborn = Some(up.epoch);
                known.insert(name.to_owned(), Known { unborn, old_bound, ..Known::at(actual, now) });
                now
            }
            // Consumers and messages come only after a queue is bound. An idle one that this node has never seen may be
            // one that another node created just now.
            Some(queue) => {
                let used = queue.message_count() > 0 || queue.consumer_count() > 0;
                let since = if used { now.checked_sub(self.settle).unwrap_or(now) } else { now };
                known.insert(name.to_owned(), Known { old_bound, ..Known::at(actual, since) });
                since
            }
        }
    }

    /// Takes bindings away that this process knows nothing of.
    pub(super) async fn unbind(&self, up: &Up, name: &str, topics: &[TopicPattern]) -> Result<(), Error> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        if let Some(known) = self.lock().get_mut(name) {
            known.bound_on = None;
        }
        for name in find(up, name).await?.into_keys() {
            let channel = up.channel().await?;
            unbind(&channel, &name, topics.iter().map(TopicPattern::as_str)).await?;
            close(channel).await;
        }
        Ok(())
    }

    /// Takes a queue's bindings away, and deletes it if it is empty, unused, and `idle` says that nothing of it is on its way
    /// back. What another node consumes or holds keeps it. So for each queue that has or had the name.
    pub(super) async fn retire(&self, up: &Up, name: &str, idle: bool) -> Result<(), Error> {
        key(name)?;
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let found = find(up, name).await?;
        let bound: Vec<TopicPattern> = {
            let mut known = self.lock();
            let entry = known.entry(name.to_owned()).or_insert_with(|| Known::at(name, Instant::now()));
            (entry.spec, entry.bound_on) = (None, None);
            entry.bound.iter().cloned().collect()
        };
        let mut gone = true;
        for actual in found.into_keys() {
            let channel = up.channel().await?;
            unbind(&channel, &actual, bound.iter().map(TopicPattern::as_str).chain([name])).await?;
            let asked = channel.queue_declare(actual.as_str().into(), passive(), FieldTable::default());
            let queue = call("asking for a queue", asked).await?;
            if idle && queue.message_count() == 0 && queue.consumer_count() == 0 {
                delete(&channel, &actual).await?;
            } else {
                gone = false;
            }
            close(channel).await;
        }
        let mut known = self.lock();
        if gone {
            known.remove(name);
        } else if let Some(known) = known.get_mut(name) {
            known.bound.clear();
        }
        Ok(())
    }

    /// What the broker calls the queue now, and those that had the name before, in the order in which they are to be drained.
    /// Nothing if this process has not declared it.
    pub(super) fn place(&self, name: &str) -> Option<(String, Vec<String>)> {
        let known = self.lock();
        let known = known.get(name)?;
        Some((known.actual.clone(), known.old.iter().cloned().collect()))
    }

    /// What the broker calls the queue, if this process knows.
    pub(super) fn actual(&self, name: &str) -> Option<String> {
        self.place(name).map(|(actual, _)| actual)
    }

    /// The queues that were left, each with the name that it had.
    pub(super) fn old(&self) -> Vec<(String, String)> {
        let known = self.lock();
        let each = known.iter().flat_map(|(name, known)| known.old.iter().map(|old| (name.clone(), old.clone())));
        each.collect()
    }

    /// Deletes a queue that was left. The caller has seen it empty and unused for a while.
    pub(super) async fn delete_old(&self, up: &Up, name: &str, old: &str) -> Result<(), Error> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        // It may have been taken up again.
        if self.actual(name).is_none_or(|actual| actual != old) {
            let channel = up.channel().await?;
            delete(&channel, old).await?;
            close(channel).await;
            self.forget_old(name, old);
        }
        Ok(())
    }

    pub(super) fn forget_old(&self, name: &str, old: &str) {
        if let Some(known) = self.lock().get_mut(name) {
            known.old.remove(old);
        }
    }

    /// Declares again whatever was declared, on a new connection.
    pub(super) async fn restore(&self, up: &Up) {
        let specs: Vec<QueueSpec> = self.lock().values().filter_map(|known| known.spec.clone()).collect();
        let each = |spec: QueueSpec| async {
            let queue = spec.name.clone();
            if let Err(error) = self.declare(up, spec, false).await {
                tracing::warn!(queue, %error, "A queue could not be restored; its consumers try again.");
            }
        };
        stream::iter(specs).for_each_concurrent(AT_ONCE, each).await;
    }

    /// The queue as it was declared, unless it was retired.
    pub(super) fn spec(&self, name: &str) -> Option<QueueSpec> {
        self.lock().get(name)?.spec.clone()
    }

    /// The queues that this node has declared, retired ones that are still there, and the dead letters; each with what the
    /// broker calls it, and with those that had its name before.
    pub(super) fn names(&self) -> BTreeMap<String, Vec<String>> {
        let known = self.lock();
        let each = known
            .iter()
            .map(|(name, known)| (name.clone(), known.old.iter().cloned().chain([known.actual.clone()]).collect()));
        each.chain([(DEAD_LETTER_QUEUE.to_owned(), vec![DEAD_LETTER_QUEUE.to_owned()])]).collect()
    }

    fn is_declared(&self, spec: &QueueSpec) -> bool {
        self.spec(&spec.name).is_some_and(|known| known == *spec)
    }

    fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn at(actual: &str, since: Instant) -> Self {
        let (bound, old) = (BTreeSet::new(), BTreeSet::new());
        let actual = actual.to_owned();
        Self { spec: None, actual, old, old_bound: bound.clone(), bound, bound_on: None, since, unborn: None }
    }
}

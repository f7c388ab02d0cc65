//! Exchanges, queues and bindings: declared, remembered, and restored on a new connection.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::try_join_all, stream};
use greenroom_contract::{
    TopicPattern,
    port::bus::{DEAD_LETTER_QUEUE, Error, QueueSpec},
};
use lapin::{
    Channel, ExchangeKind, Queue,
    options::{
        BasicCancelOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{FieldTable, ShortString},
};
use tokio::time::{Instant, sleep_until};

use super::{
    call::{Trouble, call},
    link::Up,
    message::key,
    names::{CLUSTER, COMMANDS, DEAD, EVENTS, UNROUTED, agent_queue, alternate, quorum, unrouted_queue},
    young::Young,
};

/// How many queues are restored at a time.
const AT_ONCE: usize = 16;
/// How many bindings are asked for before the broker must have answered.
const BINDINGS: usize = 128;

pub(super) struct Topology {
    settle: Duration,
    pub(super) young: Young,
    known: Mutex<HashMap<String, Known>>,
    /// One declaration of a queue at a time.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// What this node knows of a queue.
struct Known {
    /// As it was declared last; nothing once it is retired.
    spec: Option<QueueSpec>,
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
        Self { settle, young: Young::new(), known: Mutex::default(), turns: Mutex::default() }
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
        let (mut channel, there) = look(up, DEAD_LETTER_QUEUE).await?;
        channel = create(up, channel, DEAD_LETTER_QUEUE, quorum()).await?;
        if there.is_none() {
            // The dead must be as durable as the living.
            tokio::time::sleep(self.settle).await;
        }
        bind(&channel, DEAD_LETTER_QUEUE, &[(DEAD, ""), (EVENTS, DEAD_LETTER_QUEUE), (COMMANDS, DEAD_LETTER_QUEUE)])
            .await?;
        channel = create(up, channel, UNROUTED, unrouted_queue()).await?;
        bind(&channel, UNROUTED, &[(UNROUTED, "")]).await?;
        close(channel).await;
        Ok(())
    }

    /// Declares a queue with exactly these bindings, as far as this node has made others. Resolves when the queue is old
    /// enough to keep what it confirms, and bound.
    pub(super) async fn declare(&self, up: &Up, spec: QueueSpec) -> Result<(), Error> {
        key(&spec.name)?;
        let turn = self.turn(&spec.name);
        let _turn = turn.lock().await;
        let _held = (!self.is_declared(&spec)).then(|| self.young.hold(&spec.name, &self.unbound(up, &spec)));
        let (channel, since) = self.ensure(up, &spec).await?;
        sleep_until(since + self.settle).await;
        let wanted: BTreeSet<TopicPattern> = spec.bindings.iter().cloned().collect();
        let new = self.unbound(up, &spec);
        let (old, named) = {
            let mut known = self.lock();
            let entry = known.entry(spec.name.clone()).or_insert_with(|| Known::since(since));
            let old: Vec<TopicPattern> = entry.bound.difference(&wanted).cloned().collect();
            entry.bound.extend(wanted.iter().cloned());
            // Until all are made, none counts as made.
            (old, entry.bound_on.take() == Some(up.epoch))
        };
        let name = (!named).then_some(spec.name.as_str());
        let patterns = new.iter().map(TopicPattern::as_str).chain(name);
        let pairs: Vec<_> = patterns.flat_map(|pattern| [(EVENTS, pattern), (COMMANDS, pattern)]).collect();
        bind(&channel, &spec.name, &pairs).await?;
        unbind(&channel, &spec.name, old.iter().map(TopicPattern::as_str)).await?;
        close(channel).await;
        let mut known = self.lock();
        if let Some(entry) = known.get_mut(&spec.name) {
            entry.bound = wanted;
            entry.bound_on = Some(up.epoch);
            entry.unborn = None;
            entry.spec = Some(spec);
        }
        Ok(())
    }

    /// Of a queue's bindings those that have not been made on this connection. Agents that share a queue have thousands, and
    /// a changed file changes a few.
    fn unbound(&self, up: &Up, spec: &QueueSpec) -> Vec<TopicPattern> {
        let known = self.lock();
        let bound = known.get(&spec.name).filter(|known| known.bound_on == Some(up.epoch)).map(|known| &known.bound);
        spec.bindings.iter().filter(|topic| bound.is_none_or(|bound| !bound.contains(topic))).cloned().collect()
    }

    /// Makes sure that the queue is there and answers, and says since when it is known to.
    async fn ensure(&self, up: &Up, spec: &QueueSpec) -> Result<(Channel, Instant), Error> {
        let arguments = agent_queue(spec.sharing);
        let name = spec.name.as_str();
        if self.lock().get(name).and_then(|known| known.unborn).is_some_and(|epoch| epoch != up.epoch) {
            revive(up, name).await?;
            self.lock().remove(name);
        }
        let (channel, there) = look(up, name).await?;
        let now = Instant::now();
        let since = match &there {
            None => {
                self.lock().insert(name.to_owned(), Known { unborn: Some(up.epoch), ..Known::since(now) });
                now
            }
            // Consumers and messages come only after a queue is bound. An idle one that this node has never seen may be
            // one that another node created just now.
            Some(queue) => {
                let used = queue.message_count() > 0 || queue.consumer_count() > 0;
                let known_since = if used { now.checked_sub(self.settle).unwrap_or(now) } else { now };
                self.lock().entry(name.to_owned()).or_insert_with(|| Known::since(known_since)).since
            }
        };
        Ok((create(up, channel, name, arguments).await?, since))
    }

    /// Takes bindings away that this process knows nothing of.
    pub(super) async fn unbind(&self, up: &Up, name: &str, topics: &[TopicPattern]) -> Result<(), Error> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let (channel, there) = look(up, name).await?;
        if there.is_some() {
            unbind(&channel, name, topics.iter().map(TopicPattern::as_str)).await?;
        }
        close(channel).await;
        Ok(())
    }

    /// Takes a queue's bindings away, and deletes it if it is empty, unused, and `idle` says that nothing of it is on its way
    /// back. What another node consumes or holds keeps it.
    pub(super) async fn retire(&self, up: &Up, name: &str, idle: bool) -> Result<(), Error> {
        key(name)?;
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let (channel, Some(_)) = look(up, name).await? else {
            self.lock().remove(name);
            return Ok(());
        };
        let bound: Vec<TopicPattern> = {
            let mut known = self.lock();
            let entry = known.entry(name.to_owned()).or_insert_with(|| Known::since(Instant::now()));
            (entry.spec, entry.bound_on) = (None, None);
            entry.bound.iter().cloned().collect()
        };
        unbind(&channel, name, bound.iter().map(TopicPattern::as_str).chain([name])).await?;
        if let Some(known) = self.lock().get_mut(name) {
            known.bound.clear();
        }
        let queue =
            call("asking for a queue", channel.queue_declare(name.into(), passive(), FieldTable::default())).await?;
        if idle && queue.message_count() == 0 && queue.consumer_count() == 0 {
            call("deleting a queue", channel.queue_delete(name.into(), QueueDeleteOptions::default())).await?;
            self.lock().remove(name);
        }
        close(channel).await;
        Ok(())
    }

    /// Declares again whatever was declared, on a new connection.
    pub(super) async fn restore(&self, up: &Up) {
        let specs: Vec<QueueSpec> = self.lock().values().filter_map(|known| known.spec.clone()).collect();
        let each = |spec: QueueSpec| async {
            let queue = spec.name.clone();
            if let Err(error) = self.declare(up, spec).await {
                tracing::warn!(queue, %error, "A queue could not be restored; its consumers try again.");
            }
        };
        stream::iter(specs).for_each_concurrent(AT_ONCE, each).await;
    }

    /// The queue as it was declared, unless it was retired.
    pub(super) fn spec(&self, name: &str) -> Option<QueueSpec> {
        self.lock().get(name)?.spec.clone()
    }

    /// The queues that this node has declared, retired ones that are still there, and the dead letters.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let known = self.lock();
        known.keys().cloned().chain([DEAD_LETTER_QUEUE.to_owned()]).collect()
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
    fn since(since: Instant) -> Self {
        Self { spec: None, bound: BTreeSet::new(), bound_on: None, since, unborn: None }
    }
}

async fn exchange(up: &Up, name: &str, kind: ExchangeKind, durable: bool, arguments: FieldTable) -> Result<(), Error> {
    let channel = up.channel().await?;
    let options = ExchangeDeclareOptions { durable, ..Default::default() };
    match call("declaring an exchange", channel.exchange_declare(name.into(), kind, options, arguments)).await {
        Err(Trouble::Mismatch(text)) => {
            tracing::warn!(
                exchange = name,
                error = text,
                "An exchange exists with other arguments and is used as it is."
            );
        }
        answer => {
            answer?;
            close(channel).await;
        }
    }
    Ok(())
}

fn passive() -> QueueDeclareOptions {
    QueueDeclareOptions { passive: true, ..Default::default() }
}

/// Whether a queue is there, and a channel that can be used further: a refusal closes the one it comes on.
pub(super) async fn look(up: &Up, name: &str) -> Result<(Channel, Option<Queue>), Error> {
    let channel = up.channel().await?;
    match call("asking for a queue", channel.queue_declare(name.into(), passive(), FieldTable::default())).await {
        Ok(queue) => Ok((channel, Some(queue))),
        Err(Trouble::NotFound) => Ok((up.channel().await?, None)),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Creates a queue, or checks that it is as it would be created.
async fn create(up: &Up, channel: Channel, name: &str, arguments: FieldTable) -> Result<Channel, Error> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    match call("declaring a queue", channel.queue_declare(name.into(), durable, arguments)).await {
        Ok(_) => Ok(channel),
        Err(Trouble::Mismatch(text)) => {
            tracing::warn!(
                queue = name,
                error = text,
                "A queue exists with other arguments and is used as it is. To renew it: stop its consumers, let it run \
                 empty, delete it, and start again."
            );
            Ok(up.channel().await?)
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// A queue of ours that was not bound when its connection was lost: a broker that was killed in its first second may hold
/// its name and nothing else. It is replaced if it does not answer a consumer; nothing was ever published into it.
async fn revive(up: &Up, name: &str) -> Result<(), Error> {
    let channel = up.channel().await?;
    let tag = ShortString::from("greenroom-probe");
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(name.into(), tag.clone(), options, FieldTable::default());
    match call("asking whether a queue answers", consumed).await {
        Ok(_) => {
            call("ending a probe", channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
            // What it was handed goes back with the channel.
            close(channel).await;
            return Ok(());
        }
        Err(Trouble::NotFound) => return Ok(()),
        Err(trouble) => {
            tracing::warn!(queue = name, error = %trouble, "A queue did not survive the broker's end; it is created anew.");
        }
    }
    // The probe may have cost more than its channel: then the next try deletes.
    let channel = up.channel().await?;
    call("deleting a queue", channel.queue_delete(name.into(), QueueDeleteOptions::default())).await?;
    close(channel).await;
    Ok(())
}

async fn bind(channel: &Channel, queue: &str, pairs: &[(&str, &str)]) -> Result<(), Error> {
    for pairs in pairs.chunks(BINDINGS) {
        let each = pairs.iter().map(|(exchange, pattern)| {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(queue.into(), (*exchange).into(), (*pattern).into(), options, arguments)
        });
        call("binding a queue", try_join_all(each)).await?;
    }
    Ok(())
}

async fn unbind(channel: &Channel, queue: &str, patterns: impl Iterator<Item = &str>) -> Result<(), Error> {
    let pairs: Vec<_> = patterns.flat_map(|pattern| [(EVENTS, pattern), (COMMANDS, pattern)]).collect();
    for pairs in pairs.chunks(BINDINGS) {
        let each = pairs.iter().map(|(exchange, pattern)| {
            channel.queue_unbind(queue.into(), (*exchange).into(), (*pattern).into(), FieldTable::default())
        });
        call("unbinding a queue", try_join_all(each)).await?;
    }
    Ok(())
}

pub(super) async fn close(channel: Channel) {
    drop(call("closing a channel", channel.close(200, "done".into())).await);
}

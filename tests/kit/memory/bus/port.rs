//! The port.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_contract::{
    BoxFuture, Clock, Event, EventId, TopicPattern,
    event::Unreadable,
    execution::Failure,
    port::bus::{
        Broadcast, Bus, DEAD_LETTER_QUEUE, DeadDelivery, Death, Delivery, Error, MAX_BROADCAST_BYTES, Publication,
        QueueInfo, QueueSpec, Receipt, Subscription,
    },
};
use tokio::sync::mpsc;

use super::{
    core::{Core, Queues},
    queue::{Consumer, Outlet, Queue},
};
use crate::memory::Faults;

/// How many rejections bring a message to the dead letters.
pub const DELIVERY_LIMIT: u32 = 5;

/// The bus.
#[derive(Clone)]
pub struct MemoryBus {
    core: Arc<Core>,
}

impl MemoryBus {
    /// A bus without queues, by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { core: Arc::new(Core::new(clock, Queues::empty())) }
    }

    /// Its switches.
    pub fn faults(&self) -> &Faults {
        &self.core.faults
    }

    /// The bus as it would be if this process were killed now.
    pub fn after_crash(&self) -> Self {
        let queues = self.core.queues();
        let by_name = queues.by_name.iter().map(|(name, queue)| (name.clone(), queue.after_crash())).collect();
        let (bindings, next, published) = (queues.bindings.clone(), queues.next, queues.published.clone());
        let copy = Queues { by_name, bindings, next, published };
        Self { core: Arc::new(Core::new(Arc::clone(&self.core.clock), copy)) }
    }

    /// Publishes bytes as they are.
    pub fn publish_raw(&self, topic: &str, body: &[u8]) -> Result<Receipt, Error> {
        let (code, why) = match Event::from_bytes(body) {
            Ok(event) => return self.take(Publication { event, mandatory: true }),
            Err(error @ Unreadable::TooNew { .. }) => ("too_new", error.to_string()),
            Err(error) => ("unreadable", error.to_string()),
        };
        let now = self.core.clock.now();
        let mut queues = self.core.queues();
        let names = queues.route(topic);
        for queue in &names {
            let death = Death {
                queue: queue.clone(),
                reason: Failure::new(code, why.clone()),
                attempts: 1,
                first_at: now,
                dead_at: now,
            };
            queues.bury(body.to_vec(), death);
        }
        drop(queues);
        self.core.serve(DEAD_LETTER_QUEUE);
        Ok(Receipt { queues: Some(names.len() as u32) })
    }

    /// Puts `count` copies of an event into a queue, each under an id of its own, without room for more than one of them.
    pub fn flood(&self, queue: &str, event: &Event, count: usize) {
        let (event, now) = (Arc::new(event.clone()), self.core.clock.now());
        let mut queues = self.core.queues();
        for _ in 0..count {
            queues.put(queue, Arc::clone(&event), EventId::new(), now);
        }
        drop(queues);
        self.core.serve(queue);
    }

    /// Throws away what waits in a queue.
    pub fn drain(&self, queue: &str) {
        if let Some(queue) = self.core.queues().by_name.get_mut(queue) {
            queue.ready.clear();
            queue.present.clear();
        }
    }

    /// How often each event was taken from a publisher.
    pub fn times_published(&self, event: EventId) -> u32 {
        self.core.queues().published.get(&event).copied().unwrap_or(0)
    }

    /// Every queue with its counts, at once.
    pub fn infos(&self) -> Vec<QueueInfo> {
        self.core.queues().by_name.iter_mut().map(|(name, queue)| queue.info(name)).collect()
    }

    fn take(&self, publication: Publication) -> Result<Receipt, Error> {
        let Publication { event, mandatory } = publication;
        let now = self.core.clock.now();
        let mut queues = self.core.queues();
        let names = queues.route(&event.event_type);
        if names.is_empty() && mandatory {
            return Err(Error::Unroutable { topic: event.event_type });
        }
        let (id, event) = (event.event_id, Arc::new(event));
        *queues.published.entry(id).or_insert(0) += 1;
        for name in &names {
            queues.put(name, Arc::clone(&event), id, now);
        }
        drop(queues);
        names.iter().for_each(|name| self.core.serve(name));
        Ok(Receipt { queues: Some(names.len() as u32) })
    }

    fn attach(&self, name: &str, prefetch: usize, outlet: Outlet) -> Result<(), Error> {
        let mut queues = self.core.queues();
        queues.next += 1;
        let id = queues.next;
        match queues.by_name.get_mut(name).filter(|queue| !queue.retired) {
            Some(queue) => queue.consumers.push(Consumer { id, outlet, prefetch, out: 0 }),
            None => return Err(Error::UnknownQueue { queue: name.to_owned() }),
        }
        drop(queues);
        self.core.serve(name);
        Ok(())
    }

    /// Does something at once, if the bus is there; the answer is on the way a little longer.
    fn call<'a, T: Send + 'a>(
        &'a self,
        act: impl FnOnce() -> Result<T, Error> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            let done = match self.core.faults.check() {
                Ok(()) => act(),
                Err(reason) => Err(Error::Unavailable { reason }),
            };
            self.core.faults.answer().await;
            done
        })
    }
}

impl Bus for MemoryBus {
    fn declare(&self, spec: QueueSpec) -> BoxFuture<'_, Result<(), Error>> {
        self.call(move || {
            let mut queues = self.core.queues();
            let queue = queues.by_name.entry(spec.name.clone()).or_insert_with(|| Queue::new(spec.sharing));
            queue.retired = false;
            queue.sharing = spec.sharing;
            queues.bindings.insert(spec.name, spec.bindings);
            Ok(())
        })
    }

    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>> {
        let name = queue.to_owned();
        self.call(move || {
            let mut queues = self.core.queues();
            queues.bindings.remove(&name);
            let mut ended = Vec::new();
            if let Some(queue) = queues.by_name.get_mut(&name) {
                queue.retired = true;
                ended.append(&mut queue.consumers);
                if queue.ready.is_empty() && queue.out.is_empty() {
                    queues.by_name.remove(&name);
                }
            }
            drop(queues);
            drop(ended);
            Ok(())
        })
    }

    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>> {
        Box::pin(async move {
            let take = |publication| match self.core.faults.check() {
                Ok(()) => self.take(publication),
                Err(reason) => Err(Error::Unavailable { reason }),
            };
            let done = batch.into_iter().map(take).collect();
            self.core.faults.answer().await;
            done
        })
    }

    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>> {
        let queue = queue.to_owned();
        self.call(move || {
            let (sender, subscription) = Subscription::lane(prefetch);
            self.attach(&queue, prefetch.max(1), Outlet::Events(sender))?;
            Ok(subscription)
        })
    }

    fn consume_dead(&self, prefetch: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>> {
        self.call(move || {
            let (sender, receiver) = mpsc::channel(prefetch.max(1));
            self.attach(DEAD_LETTER_QUEUE, prefetch.max(1), Outlet::Dead(sender))?;
            Ok(Subscription::new(receiver))
        })
    }

    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let topic = topic.to_owned();
        self.call(move || {
            if body.len() > MAX_BROADCAST_BYTES {
                return Err(Error::Unavailable { reason: format!("a broadcast of {} bytes is too long", body.len()) });
            }
            self.core.listeners.tell(&Broadcast { topic, body });
            Ok(())
        })
    }

    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>> {
        self.call(move || Ok(self.core.listeners.listen(pattern)))
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>> {
        self.call(|| Ok(self.infos()))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.call(|| Ok(()))
    }
}

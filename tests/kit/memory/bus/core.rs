//! The queues behind one lock, and the tokens of what is out.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use greenroom_contract::{
    BoxFuture, Clock, Event, EventId, TopicPattern,
    execution::Failure,
    port::bus::{DEAD_LETTER_QUEUE, DeadDelivery, Death, Delivery, Error, Listeners, Settle, Sharing, Verdict},
};

use super::{
    port::DELIVERY_LIMIT,
    queue::{Consumer, Message, Outlet, Place, Queue},
};
use crate::memory::Faults;

pub(super) struct Core {
    pub(super) faults: Faults,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listeners: Listeners,
    queues: Mutex<Queues>,
}

pub(super) struct Queues {
    pub(super) by_name: BTreeMap<String, Queue>,
    pub(super) bindings: BTreeMap<String, Vec<TopicPattern>>,
    pub(super) next: u64,
    /// How often each event was taken from a publisher.
    pub(super) published: BTreeMap<EventId, u32>,
}

impl Core {
    pub(super) fn new(clock: Arc<dyn Clock>, queues: Queues) -> Self {
        Self { faults: Faults::default(), clock, listeners: Listeners::default(), queues: Mutex::new(queues) }
    }

    pub(super) fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out what can be handed out.
    pub(super) fn serve(self: &Arc<Self>, name: &str) {
        // What a consumer did not take is dropped outside the lock, where it goes back to its place by itself.
        while let Some(refused) = self.hand_out(name) {
            drop(refused);
        }
    }

    /// Hands out until nothing more can be, or until one is refused.
    fn hand_out(self: &Arc<Self>, name: &str) -> Option<Refused> {
        let mut queues = self.queues();
        let queue = queues.by_name.get_mut(name)?;
        while let Some((place, message, chosen)) = queue.next() {
            let Consumer { id, outlet, .. } = &queue.consumers[chosen];
            let hold = Hold { core: Arc::clone(self), queue: name.to_owned(), place, consumer: *id, settled: false };
            let refused = match (message, outlet) {
                (Message::Event { event, id, rejections, .. }, Outlet::Events(sender)) => {
                    let event = Event { event_id: id, ..Event::clone(&event) };
                    let delivery = Delivery::new(event, name.to_owned(), rejections, Box::new(hold));
                    sender.try_send(Box::new(delivery)).err().map(|error| Box::new(error) as Refused)
                }
                (Message::Dead { body, death }, Outlet::Dead(sender)) => {
                    let delivery = DeadDelivery::new(body, death, Box::new(hold));
                    sender.try_send(delivery).err().map(|error| Box::new(error) as Refused)
                }
                _ => Some(Box::new(hold) as Refused),
            };
            if refused.is_some() {
                return refused;
            }
        }
        None
    }
}

/// A delivery that its consumer did not take because it went away just now. It gives itself back when it is dropped.
type Refused = Box<dyn Send>;

impl Queues {
    pub(super) fn empty() -> Self {
        let dead = (DEAD_LETTER_QUEUE.to_owned(), Queue::new(Sharing::Competing));
        Self { by_name: BTreeMap::from([dead]), bindings: BTreeMap::new(), next: 0, published: BTreeMap::new() }
    }

    /// The queues that take a topic.
    pub(super) fn route(&self, topic: &str) -> Vec<String> {
        let takes = |(name, patterns): &(&String, &Vec<TopicPattern>)| {
            name.as_str() == topic || patterns.iter().any(|pattern| pattern.matches(topic))
        };
        self.bindings.iter().filter(takes).map(|(name, _)| name.clone()).collect()
    }

    /// Puts an event into a queue, unless it is there.
    pub(super) fn put(&mut self, name: &str, event: Arc<Event>, id: EventId, at: jiff::Timestamp) {
        self.next += 1;
        let place = (Reverse(event.priority.as_u8()), self.next);
        if let Some(queue) = self.by_name.get_mut(name)
            && queue.present.insert(id)
        {
            queue.ready.insert(place, Message::Event { event, id, rejections: 0, first_at: at });
        }
    }

    pub(super) fn bury(&mut self, body: Vec<u8>, death: Death) {
        self.next += 1;
        let place = (Reverse(0), self.next);
        if let Some(dead) = self.by_name.get_mut(DEAD_LETTER_QUEUE) {
            dead.ready.insert(place, Message::Dead { body, death });
        }
    }
}

/// The token of a message that is out. Dropped unsettled, the message goes back to its place.
struct Hold {
    core: Arc<Core>,
    queue: String,
    place: Place,
    consumer: u64,
    settled: bool,
}

impl Hold {
    fn settle_now(&mut self, verdict: Verdict) {
        self.settled = true;
        let now = self.core.clock.now();
        let mut queues = self.core.queues();
        let Some(queue) = queues.by_name.get_mut(&self.queue) else { return };
        let reason = match verdict {
            Verdict::Accept => {
                queue.came_back(self.place, self.consumer, false);
                return;
            }
            Verdict::Reject(reason) => {
                if let Some(Message::Event { rejections, .. }) = queue.out.get_mut(&self.place) {
                    *rejections += 1;
                    if *rejections < DELIVERY_LIMIT {
                        queue.came_back(self.place, self.consumer, true);
                        return;
                    }
                }
                (reason, 0)
            }
            Verdict::Dead(reason) => (reason, 1),
        };
        let (reason, extra): (Failure, u32) = reason;
        if let Some(Message::Event { event, id, rejections, first_at }) =
            queue.came_back(self.place, self.consumer, false)
        {
            let event = Event { event_id: id, ..Event::clone(&event) };
            let (queue, attempts) = (self.queue.clone(), rejections + extra);
            queues.bury(event.to_bytes(), Death { queue, reason, attempts, first_at, dead_at: now });
        }
    }
}

impl Settle for Hold {
    fn settle(mut self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            // A real bus answers later; at once would let one consumer take everything before the next has its turn.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let core = Arc::clone(&self.core);
            if let Err(reason) = core.faults.check() {
                core.faults.answer().await;
                return Err(Error::Unavailable { reason });
            }
            self.settle_now(verdict);
            core.serve(&self.queue);
            core.serve(DEAD_LETTER_QUEUE);
            core.faults.answer().await;
            Ok(())
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if let Some(queue) = self.core.queues().by_name.get_mut(&self.queue) {
            queue.came_back(self.place, self.consumer, true);
        }
        let core = Arc::clone(&self.core);
        core.serve(&self.queue);
    }
}

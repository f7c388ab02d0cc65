//! A bus in memory: a queue for each name; nothing is bound to anything.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use greenroom_contract::{
    BoxFuture, Event, TopicPattern,
    port::bus::{
        Broadcast, Bus, DeadDelivery, Delivery, Error, Listeners, Publication, QueueInfo, QueueSpec, Receipt, Settle,
        Subscription, Verdict,
    },
    task,
};
use tokio::sync::{Notify, mpsc};

#[derive(Default)]
pub(crate) struct Queue {
    events: Mutex<VecDeque<Event>>,
    news: Notify,
}

impl Queue {
    pub(crate) fn push(&self, event: Event) {
        self.events.lock().expect("no test panics with it").push_back(event);
        self.news.notify_one();
    }

    fn put_back(&self, event: Event) {
        self.events.lock().expect("no test panics with it").push_front(event);
        self.news.notify_one();
    }

    fn pop(&self) -> Option<Event> {
        self.events.lock().expect("no test panics with it").pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.events.lock().expect("no test panics with it").len()
    }
}

#[derive(Default)]
pub(crate) struct Queues {
    all: Mutex<HashMap<String, Arc<Queue>>>,
    pub(crate) retired: Mutex<Vec<String>>,
    listeners: Listeners,
}

impl Queues {
    pub(crate) fn queue(&self, name: &str) -> Arc<Queue> {
        Arc::clone(self.all.lock().expect("no test panics with it").entry(name.to_owned()).or_default())
    }
}

/// Gives its event back unless it was settled.
struct Token(Arc<Queue>, Option<Event>);

impl Settle for Token {
    fn settle(mut self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>> {
        if verdict == Verdict::Accept {
            self.1 = None;
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(event) = self.1.take() {
            self.0.put_back(event);
        }
    }
}

impl Bus for Queues {
    fn declare(&self, spec: QueueSpec) -> BoxFuture<'_, Result<(), Error>> {
        self.queue(&spec.name);
        Box::pin(std::future::ready(Ok(())))
    }

    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>> {
        self.retired.lock().expect("no test panics with it").push(queue.to_owned());
        Box::pin(std::future::ready(Ok(())))
    }

    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>> {
        let taken = batch.into_iter().map(|publication| {
            self.queue(&publication.event.event_type).push(publication.event);
            Ok(Receipt { queues: Some(1) })
        });
        Box::pin(std::future::ready(taken.collect()))
    }

    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>> {
        let (sender, receiver) = mpsc::channel(prefetch);
        let (queue, name) = (self.queue(queue), queue.to_owned());
        task::spawn("fake-consumer", async move {
            loop {
                let room = tokio::select! {
                    () = sender.closed() => return,
                    room = sender.reserve() => room,
                };
                let Ok(room) = room else { return };
                let event = loop {
                    if let Some(event) = queue.pop() {
                        break event;
                    }
                    tokio::select! {
                        () = sender.closed() => return,
                        () = queue.news.notified() => {}
                    }
                };
                let token = Token(Arc::clone(&queue), Some(event.clone()));
                room.send(Delivery::new(event, name.clone(), 0, Box::new(token)));
            }
        });
        Box::pin(std::future::ready(Ok(Subscription::new(receiver))))
    }

    fn consume_dead(&self, _: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>> {
        Box::pin(std::future::ready(Err(Error::UnknownQueue { queue: "dead".into() })))
    }

    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        self.listeners.tell(&Broadcast { topic: topic.to_owned(), body });
        Box::pin(std::future::ready(Ok(())))
    }

    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>> {
        Box::pin(std::future::ready(Ok(self.listeners.listen(pattern))))
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

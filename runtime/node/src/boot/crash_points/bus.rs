//! Before and after the bus is given something, and before and after a delivery is taken off its queue.

use std::sync::Arc;

use bytes::Bytes;
use greenroom_contract::{
    BoxFuture,
    port::bus::{
        Broadcast, Bus, DeadDelivery, Delivery, Error, Publication, QueueInfo, QueueSpec, Receipt, Settle,
        Subscription, Verdict,
    },
    task,
    topic::TopicPattern,
};
use tokio::sync::{mpsc, watch};

use super::trigger::{Deed, Trigger};

/// A bus that the node may die beside.
pub(super) struct Dangerous {
    pub(super) inner: Arc<dyn Bus>,
    pub(super) trigger: Arc<Trigger>,
}

impl Bus for Dangerous {
    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.declare(queue)
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn unbind(&self, queue: &str, topics: Vec<TopicPattern>) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.unbind(queue, topics)
    }

    fn retire(&self, queue: &str) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.retire(queue)
    }

    fn publish(&self, batch: Vec<Publication>) -> BoxFuture<'_, Vec<Result<Receipt, Error>>> {
        let topics: Vec<&str> = batch.iter().map(|publication| publication.event.event_type.as_str()).collect();
        let about = topics.join(" ");
        Box::pin(async move {
            self.trigger.before(Deed::Publish, &about);
            let results = self.inner.publish(batch).await;
            if results.iter().all(Result::is_ok) {
                self.trigger.after(Deed::Publish, &about);
            }
            results
        })
    }

    fn consume(&self, queue: &str, prefetch: usize) -> BoxFuture<'_, Result<Subscription<Delivery>, Error>> {
        let consume = self.inner.consume(queue, prefetch);
        Box::pin(async move { Ok(armed(consume.await?, prefetch, Arc::clone(&self.trigger))) })
    }

    fn consume_dead(&self, prefetch: usize) -> BoxFuture<'_, Result<Subscription<DeadDelivery>, Error>> {
        self.inner.consume_dead(prefetch)
    }

    fn broadcast(&self, topic: &str, body: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.broadcast(topic, body)
    }

    fn listen(&self, pattern: TopicPattern) -> BoxFuture<'_, Result<Subscription<Broadcast>, Error>> {
        self.inner.listen(pattern)
    }

    fn reconnects(&self) -> watch::Receiver<u64> {
        self.inner.reconnects()
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<QueueInfo>, Error>> {
        self.inner.queues()
    }

    fn waiting(&self, queue: &str) -> BoxFuture<'_, Result<Option<u64>, Error>> {
        self.inner.waiting(queue)
    }

    fn health(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.health()
    }
}

/// Hands deliveries on with a token that passes the places. What is unsettled still counts against the inner prefetch.
fn armed(mut inner: Subscription<Delivery>, prefetch: usize, trigger: Arc<Trigger>) -> Subscription<Delivery> {
    let (sender, receiver) = mpsc::channel(prefetch.max(1));
    task::spawn("crash-points", async move {
        loop {
            let delivery = tokio::select! {
                () = sender.closed() => return,
                delivery = inner.next() => delivery,
            };
            let Some(delivery) = delivery else { return };
            let (event, queue, rejections) = (delivery.event.clone(), delivery.queue.clone(), delivery.rejections);
            let token = Box::new(Token { delivery, trigger: Arc::clone(&trigger) });
            // A delivery that nobody takes any more is dropped, which gives it back.
            sender.send(Delivery::new(event, queue, rejections, token)).await.ok();
        }
    });
    Subscription::new(receiver)
}

struct Token {
    delivery: Delivery,
    trigger: Arc<Trigger>,
}

impl Settle for Token {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Error>> {
        let Self { delivery, trigger } = *self;
        Box::pin(async move {
            match verdict {
                Verdict::Accept => {
                    let queue = delivery.queue.clone();
                    trigger.before(Deed::Acknowledge, &queue);
                    delivery.accept().await?;
                    trigger.after(Deed::Acknowledge, &queue);
                    Ok(())
                }
                Verdict::Reject(reason) => delivery.reject(reason).await,
                Verdict::Dead(reason) => delivery.dead(reason).await,
            }
        })
    }
}

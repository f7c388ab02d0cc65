//! Broadcasts: an exchange that keeps nothing, and one exclusive queue for all listeners of this process.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use greenroom_contract::{
    TopicPattern,
    port::bus::{Broadcast, Error, Listeners, MAX_BROADCAST_BYTES, Subscription},
    task,
};
use lapin::{
    BasicProperties, Channel,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{sync::Mutex, time::timeout};

use super::{
    call::{call, unavailable},
    link::Up,
    message::key,
    names::CLUSTER,
};

/// How many broadcasts the broker keeps for this process while it is busy, and how many bytes; then it loses the oldest.
const WAITING: i32 = 4_096;
const WAITING_BYTES: i32 = 64 << 20;
/// Who broadcasts does not wait longer than this.
const HANDED_OVER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Ears {
    listeners: Arc<Listeners>,
    /// The queue's channel, of one connection.
    ear: Mutex<Option<(u64, Channel, ShortString)>>,
    mouth: Mutex<Option<(u64, Channel)>>,
}

impl Ears {
    pub(super) async fn listen(&self, up: &Up, pattern: TopicPattern) -> Result<Subscription<Broadcast>, Error> {
        let mut ear = self.ear.lock().await;
        let (channel, queue) = match &*ear {
            Some((epoch, channel, queue)) if *epoch == up.epoch && channel.status().connected() => {
                (channel.clone(), queue.clone())
            }
            _ => {
                let (channel, queue) = self.open(up).await?;
                *ear = Some((up.epoch, channel.clone(), queue.clone()));
                (channel, queue)
            }
        };
        let subscription = self.listeners.listen(pattern.clone());
        let options = QueueBindOptions::default();
        let binding = channel.queue_bind(queue, CLUSTER.into(), key(pattern.as_str())?, options, FieldTable::default());
        call("listening", binding).await?;
        Ok(subscription)
    }

    async fn open(&self, up: &Up) -> Result<(Channel, ShortString), Error> {
        // Whoever listened on a connection that is gone has missed something.
        self.listeners.end();
        let channel = up.channel().await?;
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(WAITING));
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongInt(WAITING_BYTES));
        let queue = call("declaring a listener", channel.queue_declare("".into(), options, arguments)).await?;
        let name = queue.name().clone();
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consuming = channel.basic_consume(name.clone(), "".into(), no_ack, FieldTable::default());
        let mut heard = call("listening", consuming).await?;
        let listeners = Arc::clone(&self.listeners);
        drop(task::spawn("bus-ears", async move {
            // Telling never waits, so that nothing piles up in the client.
            while let Some(Ok(message)) = heard.next().await {
                let topic = message.routing_key.to_string();
                listeners.tell(&Broadcast { topic, body: Bytes::from(message.data) });
            }
            listeners.end();
        }));
        Ok((channel, name))
    }

    pub(super) async fn say(&self, up: &Up, topic: &str, body: Bytes) -> Result<(), Error> {
        if body.len() > MAX_BROADCAST_BYTES {
            return Err(unavailable(format!("a broadcast of {} bytes is over {MAX_BROADCAST_BYTES}", body.len())));
        }
        if let Some(reason) = up.blocked() {
            return Err(unavailable(format!("the broker blocks publishers: {reason}")));
        }
        let key = key(topic)?;
        let said = async {
            let mut mouth = self.mouth.lock().await;
            let channel = match &*mouth {
                Some((epoch, channel)) if *epoch == up.epoch && channel.status().connected() => channel.clone(),
                _ => up.channel().await?,
            };
            *mouth = Some((up.epoch, channel.clone()));
            let options = BasicPublishOptions::default();
            let properties = BasicProperties::default();
            // Nobody confirms this: the answer comes when it is written to the socket.
            match channel.basic_publish(CLUSTER.into(), key, options, &body, properties).await {
                Ok(_) => Ok(()),
                Err(error) => Err(unavailable(error)),
            }
        };
        timeout(HANDED_OVER, said).await.unwrap_or_else(|_| Err(unavailable("the broker takes no broadcast now")))
    }
}

//! The bus on RabbitMQ against the bare client, on the same broker in the same run: publishing with so many unconfirmed at a
//! time, and consuming with acknowledgements. Both into quorum queues, persistent, mandatory, with manual acknowledgement.
//! The broker is the tests' (`.ci/servers`).
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use greenroom_bus::{AmqpBus, amqp};
use greenroom_contract::{
    Event, TraceId,
    port::bus::{Bus, Publication, QueueSpec, Sharing},
};
use kit::servers::shared;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

const QUEUE: &str = "agent.input.bench";
const BARE: &str = "bare";
/// How many unconfirmed at a time, and how many messages in a round.
const WINDOWS: [(usize, usize); 4] = [(1, 300), (10, 2_000), (100, 8_000), (1_000, 8_000)];
const ROUNDS: usize = 5;
const PREFETCH: u16 = 100;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime?.block_on(measure())
}

async fn measure() -> Outcome<()> {
    println!("messages per second, medians of {ROUNDS} rounds");
    for (window, count) in WINDOWS {
        let vhost = shared().vhost().await;
        let bus = AmqpBus::start(&vhost.url, amqp::Options { window, ..amqp::Options::default() }).await?;
        kit::wait::until("the bus to be well", Duration::from_secs(30), async || bus.health().await.is_ok()).await;
        bus.declare(QueueSpec { name: QUEUE.to_owned(), bindings: Vec::new(), sharing: Sharing::Competing }).await?;
        let connection = Connection::connect(&vhost.url, ConnectionProperties::default()).await?;
        let channel = bare(&connection).await?;
        let body = Arc::new(event().to_bytes());
        let (mut ours, mut theirs, mut taken, mut acked) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let batch: Vec<Publication> = (0..count).map(|_| Publication { event: event(), mandatory: true }).collect();
            let start = Instant::now();
            for answer in bus.publish(batch).await {
                answer?;
            }
            ours.push(start.elapsed());
            theirs.push(publish(&channel, &body, count, window).await?);
            taken.push(take(&bus, count).await?);
            acked.push(consume(&connection, count).await?);
        }
        line(&format!("publish, window {window}"), count, ours, theirs);
        line(&format!("consume + ack, prefetch {PREFETCH}"), count, taken, acked);
    }
    Ok(())
}

fn line(what: &str, count: usize, ours: Vec<Duration>, theirs: Vec<Duration>) {
    let rate = |took: Vec<Duration>| count as f64 / median(took).as_secs_f64();
    let (ours, theirs) = (rate(ours), rate(theirs));
    println!("  {what:<28} bus {ours:>8.0}/s   bare lapin {theirs:>8.0}/s   ratio {:.2}", ours / theirs);
}

async fn bare(connection: &Connection) -> Outcome<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(BARE.into(), durable, arguments).await?;
    Ok(channel)
}

/// As the client's own examples do it, with a window.
async fn publish(channel: &Channel, body: &[u8], count: usize, window: usize) -> Outcome<Duration> {
    let start = Instant::now();
    let mut unconfirmed = FuturesUnordered::new();
    for _ in 0..count {
        if unconfirmed.len() == window {
            confirmed(unconfirmed.next().await)?;
        }
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let properties = BasicProperties::default().with_delivery_mode(2);
        unconfirmed.push(channel.basic_publish("".into(), BARE.into(), options, body, properties).await?);
    }
    while let Some(answer) = unconfirmed.next().await {
        confirmed(Some(answer))?;
    }
    Ok(start.elapsed())
}

fn confirmed(answer: Option<lapin::Result<Confirmation>>) -> Outcome<()> {
    match answer {
        Some(Ok(Confirmation::Ack(None))) => Ok(()),
        other => Err(format!("not confirmed: {other:?}").into()),
    }
}

async fn take(bus: &AmqpBus, count: usize) -> Outcome<Duration> {
    let mut deliveries = bus.consume(QUEUE, PREFETCH.into()).await?;
    let start = Instant::now();
    let mut settling = FuturesUnordered::new();
    for _ in 0..count {
        let delivery = deliveries.next().await.ok_or("the subscription ended")?;
        settling.push(delivery.accept());
        while let Some(Some(settled)) = settling.next().now_or_never() {
            settled?;
        }
    }
    while let Some(settled) = settling.next().await {
        settled?;
    }
    Ok(start.elapsed())
}

async fn consume(connection: &Connection, count: usize) -> Outcome<Duration> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(BARE.into(), "".into(), options, FieldTable::default()).await?;
    let start = Instant::now();
    let mut settling = FuturesUnordered::new();
    for _ in 0..count {
        let delivery = consumer.next().await.ok_or("the consumer ended")??;
        settling.push(async move {
            // What every consumer does with it.
            drop(Event::from_bytes(&delivery.data));
            delivery.acker.ack(BasicAckOptions::default()).await
        });
        while let Some(Some(settled)) = settling.next().now_or_never() {
            settled?;
        }
    }
    while let Some(settled) = settling.next().await {
        settled?;
    }
    let took = start.elapsed();
    channel.close(200, "done".into()).await?;
    Ok(took)
}

fn event() -> Event {
    Event::new(QUEUE, "bench", TraceId::new(), json!({"input": "where is my parcel? it was to arrive on Monday"}))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

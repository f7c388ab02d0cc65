//! The same durable work by hand: lapin and sqlx, and nothing that is not needed for it.
//!
//! ```text
//!   outbox row → publish, confirmed → consume → inbox row (and the outbox row goes) → ack → journal: intended
//!   → settled + output + outgoing event, in one → publish that, confirmed → its outbox row goes
//! ```
//!
//! Each line is one statement that commits by itself, as short as it can be: no more indexes, columns and checks than the
//! promise needs (once per event, fenced by an epoch). Every execution is a task of its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt;
use greenroom_contract::{Event, EventId, ExecutionId, TraceId, task};
use kit::servers::{Database, Shared, Vhost};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::sync::oneshot;

use crate::{INPUT, Outcome};

const EXCHANGE: &str = "raw.events";
const UNROUTED: &str = "raw.unrouted";
const QUEUE: &str = "raw.input";
/// More connections than this make PostgreSQL slower on the machine of the measurements, not faster.
const CONNECTIONS: u32 = 16;
const PREFETCH: u16 = 128;

const TABLES: &str = "
    CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id bytea NOT NULL UNIQUE, body bytea NOT NULL);
    CREATE TABLE executions (id bytea PRIMARY KEY, event_id bytea NOT NULL, status text NOT NULL, epoch bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz, event bytea NOT NULL, output bytea);
    CREATE TABLE steps (execution bytea NOT NULL, seq int NOT NULL, status text NOT NULL, hash text NOT NULL,
        intended_at timestamptz NOT NULL DEFAULT now(), settled_at timestamptz, result bytea, PRIMARY KEY (execution, seq));";
const SUBMIT: &str = "INSERT INTO outbox (event_id, body) VALUES ($1, $2)";
const TAKE_IN: &str = "
    WITH gone AS (DELETE FROM outbox WHERE event_id = $2)
    INSERT INTO executions (id, event_id, status, epoch, event) VALUES ($1, $2, 'running', 1, $3)
    ON CONFLICT (id) DO NOTHING";
const INTEND: &str = "
    INSERT INTO steps (execution, seq, status, hash)
    SELECT id, 0, 'intended', $2 FROM executions WHERE id = $1 AND epoch = 1 FOR NO KEY UPDATE";
const FINISH: &str = "
    WITH mine AS (UPDATE executions SET status = 'succeeded', output = $2, finished_at = now()
        WHERE id = $1 AND epoch = 1 AND status = 'running' RETURNING id),
    settled AS (UPDATE steps SET status = 'settled', settled_at = now(), result = $2 FROM mine
        WHERE execution = mine.id AND seq = 0)
    INSERT INTO outbox (event_id, body) SELECT $3, $4 FROM mine";
const SENT: &str = "DELETE FROM outbox WHERE event_id = $1";

type Waiting = Arc<Mutex<HashMap<EventId, oneshot::Sender<()>>>>;

/// The loop, consuming until it is dropped.
pub(crate) struct Raw {
    desk: Desk,
    _consumer: task::Scoped,
    _connections: [Connection; 2],
    _vhost: Vhost,
    _database: Database,
}

/// What each execution works with.
#[derive(Clone)]
struct Desk {
    pool: PgPool,
    publisher: Channel,
    waiting: Waiting,
}

impl Raw {
    pub(crate) async fn start(servers: &Shared) -> Outcome<Self> {
        let (vhost, database) = (servers.vhost().await, servers.database().await);
        let pool =
            PgPoolOptions::new().max_connections(CONNECTIONS).min_connections(CONNECTIONS).test_before_acquire(false);
        let pool = pool.connect(&database.url).await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        // A connection that publishes may be blocked by the broker; the one that consumes must not be.
        let connect = || Connection::connect(&vhost.url, ConnectionProperties::default());
        let connections = [connect().await?, connect().await?];
        let publisher = connections[0].create_channel().await?;
        publisher.confirm_select(ConfirmSelectOptions::default()).await?;
        let consumer = connections[1].create_channel().await?;
        declare(&consumer).await?;
        consumer.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut deliveries = consumer.basic_consume(QUEUE.into(), "raw".into(), options, FieldTable::default()).await?;
        let desk = Desk { pool, publisher, waiting: Waiting::default() };
        let working = desk.clone();
        let consumer = task::spawn_scoped("raw-consumer", async move {
            while let Some(Ok(delivery)) = deliveries.next().await {
                let desk = working.clone();
                drop(task::spawn("raw-execution", async move {
                    if let Err(error) = desk.execute(delivery).await {
                        crate::say(&format!("the raw loop failed: {error}"));
                    }
                }));
            }
        });
        Ok(Self { desk, _consumer: consumer, _connections: connections, _vhost: vhost, _database: database })
    }

    /// Submits one and waits for its end. Returns how long that took.
    pub(crate) async fn one(&self) -> Outcome<Duration> {
        let start = Instant::now();
        let event = Event::new(QUEUE, "bench", TraceId::new(), json!({ "input": INPUT }));
        let (sender, ended) = oneshot::channel();
        self.desk.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(event.event_id, sender);
        let body = event.to_bytes();
        sqlx::query(SUBMIT).bind(&event.event_id.as_bytes()[..]).bind(&body).execute(&self.desk.pool).await?;
        self.desk.publish(QUEUE, true, &body).await?;
        ended.await?;
        Ok(start.elapsed())
    }

    /// Whether everything that was to go out has gone.
    pub(crate) async fn is_empty(&self) -> Outcome<bool> {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox").fetch_one(&self.desk.pool).await?;
        Ok(left == 0)
    }
}

impl Desk {
    async fn execute(&self, delivery: Delivery) -> Outcome<()> {
        let event = Event::from_bytes(&delivery.data)?;
        let agent = "raw".parse()?;
        let execution = ExecutionId::of(&agent, event.event_id);
        let id = &execution.as_bytes()[..];
        let take_in = sqlx::query(TAKE_IN).bind(id).bind(&event.event_id.as_bytes()[..]).bind(&delivery.data[..]);
        take_in.execute(&self.pool).await?;
        delivery.ack(BasicAckOptions::default()).await?;
        let hash = format!("{:x}", event.payload.to_string().len());
        sqlx::query(INTEND).bind(id).bind(hash).execute(&self.pool).await?;
        let output = serde_json::to_vec(&answer(&event))?;
        let told =
            Event::new("raw.output", "bench", event.trace_id, json!({ "execution_id": execution, "output": "ok" }));
        let body = told.to_bytes();
        let finish = sqlx::query(FINISH).bind(id).bind(output).bind(&told.event_id.as_bytes()[..]).bind(&body);
        finish.execute(&self.pool).await?;
        if let Some(waiter) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&event.event_id) {
            waiter.send(()).ok();
        }
        self.publish(&told.event_type, false, &body).await?;
        sqlx::query(SENT).bind(&told.event_id.as_bytes()[..]).execute(&self.pool).await?;
        Ok(())
    }

    async fn publish(&self, topic: &str, mandatory: bool, body: &[u8]) -> Outcome<()> {
        let options = BasicPublishOptions { mandatory, ..Default::default() };
        let properties = BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
        let confirm =
            self.publisher.basic_publish(EXCHANGE.into(), topic.into(), options, body, properties).await?.await?;
        match confirm {
            lapin::Confirmation::Ack(None) => Ok(()),
            other => Err(format!("{topic} was not taken: {other:?}").into()),
        }
    }
}

/// What a model would answer.
fn answer(_: &Event) -> Value {
    json!("ok")
}

/// The topology that Greenroom uses: a topic exchange with an alternate one, and a quorum queue.
async fn declare(channel: &Channel) -> Outcome<()> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let exchange = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(UNROUTED.into(), ExchangeKind::Fanout, exchange, FieldTable::default()).await?;
    let mut alternate = FieldTable::default();
    alternate.insert("alternate-exchange".into(), AMQPValue::LongString(UNROUTED.into()));
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, exchange, alternate).await?;
    let mut kept = FieldTable::default();
    kept.insert("x-max-length".into(), AMQPValue::LongInt(1000));
    channel.queue_declare(UNROUTED.into(), durable, kept).await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(QUEUE.into(), durable, quorum).await?;
    for (queue, exchange, key) in [(QUEUE, EXCHANGE, QUEUE), (UNROUTED, UNROUTED, "")] {
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await?;
    }
    Ok(())
}

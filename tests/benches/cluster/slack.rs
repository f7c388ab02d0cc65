//! Slack's door at 200 requests a second: how long until Slack is answered, and until a consumer on the broker has the event,
//! which is after the publish was confirmed. Once as a node that is a door and nothing else, once with its agent at work beside
//! it. Beside them a bare axum handler that checks the signature, publishes with lapin, waits for the confirmation and answers:
//! that one keeps nothing if the broker is away, and sends what comes twice twice. And the same handler when it writes the event
//! down first, as the door does, so that it does neither.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use futures::StreamExt;
use greenroom_config::{Environment, NodeConfig};
use greenroom_contract::task::{Scoped, spawn, spawn_scoped};
use greenroom_node::boot;
use kit::{
    node::Home,
    servers::Shared,
    slack::{now, signature},
};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{
    Outcome, say,
    stats::{Round, Summary},
};

const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const RATE: u32 = 200;
const ROUND: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;
/// The first requests meet cold connections and caches, on either side.
const WARM: Duration = Duration::from_secs(2);
const DURABLE: ExchangeDeclareOptions =
    ExchangeDeclareOptions { durable: true, passive: false, auto_delete: false, internal: false, nowait: false };

/// When each message was at the broker's consumer, by its ts.
type Arrived = Arc<Mutex<HashMap<String, Instant>>>;

pub(crate) async fn measure(servers: &Shared) -> Outcome<()> {
    say(&format!("Slack's door at {RATE} requests a second, {ROUNDS} rounds of {ROUND:?}, medians of the rounds"));
    let door = greenroom(servers, Work::Elsewhere).await?;
    let node = greenroom(servers, Work::Here).await?;
    let bare = bare(servers, false).await?;
    let kept = self::bare(servers, true).await?;
    let acknowledged = [door.0, node.0, bare.0, kept.0];
    let published = [door.1, node.1, bare.1, kept.1];
    for (what, [door, node, bare, kept], aim) in
        [("acknowledged", acknowledged, 150.0), ("published, at a consumer", published, 100.0)]
    {
        let ratios = |ours: Summary| format!("p99 {:.2} and {:.2} of", ours.p99 / bare.p99, ours.p99 / kept.p99);
        say(&format!("  {what}   (aim: p99 under {aim} ms, and within 1.5 of a bare handler)"));
        say(&format!("    axum + lapin                    {bare}"));
        say(&format!("    axum + sqlx + lapin             {kept}"));
        say(&format!("    greenroom, a door               {door}   {} those", ratios(door)));
        say(&format!("    greenroom, its agent at work    {node}   {} those", ratios(node)));
    }
    Ok(())
}

/// Where what comes in is worked on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// In the door's own process: it has all roles.
    Here,
    /// In none that runs now; the agent's queue is there from before.
    Elsewhere,
}

async fn greenroom(servers: &Shared, work: Work) -> Outcome<(Summary, Summary)> {
    let (home, backends) = (Home::new(), servers.backends().await);
    let model = "llm_config: {provider: scripted, script: [{reply: ok}]}";
    let listens = "subscriptions: [slack.events.app_mention.*]";
    home.agent("clerk", &format!("name: clerk\nagent_type: bench\nexecution_mode: autonomous\n{model}\n{listens}\n"));
    let mut pairs = backends.variables();
    pairs.push(("GREENROOM_DATA_DIR".to_owned(), home.data().display().to_string()));
    pairs.push(("GREENROOM_CONFIG_DIR".to_owned(), home.config().display().to_string()));
    pairs.push(("GREENROOM_HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()));
    pairs.push(("SLACK_SIGNING_SECRET".to_owned(), SECRET.to_owned()));
    let amqp = pairs.iter().find(|(name, _)| name == "GREENROOM_AMQP_URL").map(|(_, url)| url.clone());
    let mut node = start(&pairs).await?;
    // What was declared a moment ago is not published into yet.
    tokio::time::sleep(WARM).await;
    if work == Work::Elsewhere {
        boot::stop(node).await;
        pairs.push(("GREENROOM_ROLES".to_owned(), "gateway".to_owned()));
        node = start(&pairs).await?;
    }
    let (arrived, _listening) = listen(&amqp.ok_or("no broker")?, "greenroom.events").await?;
    let measured = rounds(&format!("http://{}/slack/events", node.addr), &arrived).await;
    boot::stop(node).await;
    measured
}

async fn start(pairs: &[(String, String)]) -> Outcome<boot::Node> {
    let env = Environment::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(boot::start(NodeConfig::from_env(&env)?, env).await?)
}

/// The handler by hand.
struct Handler {
    channel: Channel,
    /// Where it writes an event down before it publishes it.
    kept: Option<PgPool>,
}

async fn bare(servers: &Shared, keeps: bool) -> Outcome<(Summary, Summary)> {
    const EXCHANGE: &str = "bare.events";
    let (vhost, database) = (servers.vhost().await, servers.database().await);
    let connection = Connection::connect(&vhost.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, DURABLE, FieldTable::default()).await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("bare.input".into(), durable, quorum).await?;
    let bind = QueueBindOptions::default();
    channel.queue_bind("bare.input".into(), EXCHANGE.into(), "slack.#".into(), bind, FieldTable::default()).await?;
    let kept = if keeps { Some(book(&database.url).await?) } else { None };
    tokio::time::sleep(WARM).await;
    let (arrived, _listening) = listen(&vhost.url, EXCHANGE).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let addr: SocketAddr = listener.local_addr()?;
    let app = Router::new().route("/slack/events", post(handle)).with_state(Arc::new(Handler { channel, kept }));
    let _serving = spawn_scoped("bare", async move {
        axum::serve(listener, app).await.ok();
    });
    rounds(&format!("http://{addr}/slack/events"), &arrived).await
}

async fn book(url: &str) -> Outcome<PgPool> {
    let pool = PgPoolOptions::new().max_connections(16).min_connections(16).test_before_acquire(false);
    let pool = pool.connect(url).await?;
    sqlx::raw_sql("CREATE TABLE taken (event_id text PRIMARY KEY, body bytea)").execute(&pool).await?;
    Ok(pool)
}

async fn handle(State(handler): State<Arc<Handler>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let at: i64 = header("x-slack-request-timestamp").parse().unwrap_or(0);
    if now().abs_diff(at) > 300 || signature(SECRET, at, &body) != header("x-slack-signature") {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(request) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let id = request["event_id"].as_str().unwrap_or_default();
    let event = json!({ "payload": request["event"], "event_type": "slack.events.app_mention.C1" }).to_string();
    match handler.take(id, event.as_bytes()).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Handler {
    /// Publishes what was not taken before; what is published needs its row's id alone, by which it is known.
    async fn take(&self, id: &str, event: &[u8]) -> Outcome<()> {
        if let Some(pool) = &self.kept {
            let row = sqlx::query("INSERT INTO taken (event_id, body) VALUES ($1, $2) ON CONFLICT DO NOTHING");
            if row.bind(id).bind(event).execute(pool).await?.rows_affected() == 0 {
                return Ok(());
            }
        }
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let key = "slack.events.app_mention.C1".into();
        self.channel.basic_publish("bare.events".into(), key, options, event, properties).await?.await?;
        if let Some(pool) = self.kept.clone() {
            let id = id.to_owned();
            drop(spawn("published", async move {
                let sent = sqlx::query("UPDATE taken SET body = NULL WHERE event_id = $1").bind(id);
                sent.execute(&pool).await.map(drop)
            }));
        }
        Ok(())
    }
}

/// Notes when each event is at a consumer of its own.
async fn listen(url: &str, exchange: &str) -> Outcome<(Arrived, Scoped)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("bench.listen".into(), own, FieldTable::default()).await?;
    let name = queue.name().clone();
    let bind = QueueBindOptions::default();
    channel.queue_bind(name.clone(), exchange.into(), "slack.events.#".into(), bind, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut consumer = channel.basic_consume(name, "bench".into(), options, FieldTable::default()).await?;
    let arrived = Arrived::default();
    let noting = Arc::clone(&arrived);
    let listening = spawn_scoped("listen", async move {
        let _connection = connection;
        while let Some(Ok(delivery)) = consumer.next().await {
            let at = Instant::now();
            let event: Value = serde_json::from_slice(&delivery.data).unwrap_or_default();
            if let Some(ts) = event["payload"]["ts"].as_str() {
                noting.lock().unwrap_or_else(PoisonError::into_inner).entry(ts.to_owned()).or_insert(at);
            }
        }
    });
    Ok((arrived, listening))
}

/// Rounds of requests at their times, however long the ones before take.
async fn rounds(url: &str, arrived: &Arrived) -> Outcome<(Summary, Summary)> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(64).build()?;
    let mut numbers = 0_u64;
    let (mut acknowledged, mut published) = (Vec::new(), Vec::new());
    send(&client, url, WARM, &mut numbers).await?;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let sent = send(&client, url, ROUND, &mut numbers).await?;
        let took = begun.elapsed();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at_consumer = Vec::new();
        for (ts, at, _) in &sent {
            let there = arrived.get(ts).ok_or("an event that was acknowledged is not at the broker")?;
            at_consumer.push(there.duration_since(*at));
        }
        acknowledged.push(Round { took, latencies: sent.into_iter().map(|(_, _, took)| took).collect() });
        published.push(Round { took, latencies: at_consumer });
    }
    Ok((Summary::of(&acknowledged), Summary::of(&published)))
}

/// Sends for so long; each request is one task, begun at its time. What is told of each: its ts, when, and how long it took.
async fn send(
    client: &reqwest::Client,
    url: &str,
    long: Duration,
    numbers: &mut u64,
) -> Outcome<Vec<(String, Instant, Duration)>> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut tasks = Vec::new();
    for _ in 0..long.as_secs() * u64::from(RATE) {
        tick.tick().await;
        *numbers += 1;
        let ts = format!("1800000000.{:06}", *numbers);
        let event = json!({
            "type": "app_mention", "user": "U1", "text": "<@UBOT> where is my parcel?", "ts": ts, "channel": "C1",
        });
        let body = json!({
            "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": format!("Ev{numbers}"),
            "event": event, "authorizations": [{"team_id": "T1", "user_id": "UBOT", "is_bot": true}],
        })
        .to_string();
        let at = now();
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("x-slack-request-timestamp", at.to_string())
            .header("x-slack-signature", signature(SECRET, at, body.as_bytes()))
            .body(body);
        tasks.push(spawn("request", async move {
            let begun = Instant::now();
            let answer = request.send().await?.error_for_status()?;
            answer.bytes().await?;
            Ok::<_, reqwest::Error>((ts, begun, begun.elapsed()))
        }));
    }
    let mut sent = Vec::new();
    for task in tasks {
        sent.push(task.await??);
    }
    Ok(sent)
}

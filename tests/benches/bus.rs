//! The embedded bus against the bare library: publish → delivered → acknowledged, beside the inserts and deletes that
//! SQLite itself needs for the same messages with the same durability, in the same run.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use greenroom_bus::{EmbeddedBus, MIGRATIONS};
use greenroom_contract::{
    Event, TraceId,
    clock::SystemClock,
    port::bus::{Bus, Delivery, Publication, QueueSpec, Sharing, Subscription},
};
use greenroom_sqlite::{
    Database,
    rusqlite::{Connection, params},
};
use serde_json::json;

const QUEUE: &str = "agent.input.bench";
/// How many messages in one go, and how often.
const SIZES: [(usize, usize); 3] = [(1, 400), (10, 200), (100, 60)];

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() {
    if let Err(error) = measure() {
        println!("the bench failed: {error}");
    }
}

fn measure() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "one message, publish → acknowledged, medians (both: WAL, synchronous=FULL, one commit to publish, one to acknowledge)"
    );
    for (size, rounds) in SIZES {
        let bare = bare(&folder.path().join(format!("bare-{size}.db")), size, rounds)?;
        let home = folder.path().join(format!("bus-{size}"));
        let bus = runtime.block_on(bus(&home, size, rounds))?;
        println!(
            "  {size:>3} in one go   bus {:>8.1} µs   bare SQLite {:>8.1} µs   ratio {:.2}",
            micros(bus) / size as f64,
            micros(bare) / size as f64,
            micros(bus) / micros(bare)
        );
    }
    Ok(())
}

/// Inserts, commits, deletes, commits: what no bus over SQLite can do without.
fn bare(file: &Path, size: usize, rounds: usize) -> Outcome<Duration> {
    let mut db = Connection::open(file)?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE messages (id INTEGER PRIMARY KEY, queue TEXT NOT NULL, body BLOB NOT NULL);",
    )?;
    let body = event().to_bytes();
    let mut took = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let insert = db.transaction()?;
        let mut ids = Vec::new();
        for _ in 0..size {
            insert
                .prepare_cached("INSERT INTO messages (queue, body) VALUES (?1, ?2)")?
                .execute(params![QUEUE, body])?;
            ids.push(insert.last_insert_rowid());
        }
        insert.commit()?;
        let delete = db.transaction()?;
        for id in ids {
            delete.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
        }
        delete.commit()?;
        took.push(start.elapsed());
    }
    Ok(median(took))
}

async fn bus(home: &Path, size: usize, rounds: usize) -> Outcome<Duration> {
    let bus = EmbeddedBus::start(Database::open(home, MIGRATIONS)?, Arc::new(SystemClock)).await?;
    bus.declare(QueueSpec { name: QUEUE.to_owned(), bindings: Vec::new(), sharing: Sharing::Competing }).await?;
    let mut deliveries = bus.consume(QUEUE, size).await?;
    let mut took = Vec::new();
    for _ in 0..rounds {
        let batch = (0..size).map(|_| Publication { event: event(), mandatory: true }).collect();
        let start = Instant::now();
        let (published, accepted) = tokio::join!(bus.publish(batch), take(&mut deliveries, size));
        took.push(start.elapsed());
        published.into_iter().collect::<Result<Vec<_>, _>>()?;
        accepted?;
    }
    Ok(median(took))
}

/// Takes so many deliveries and acknowledges them together.
async fn take(deliveries: &mut Subscription<Delivery>, size: usize) -> Result<(), String> {
    let mut held = Vec::with_capacity(size);
    while held.len() < size {
        held.push(deliveries.next().await.ok_or("the subscription ended")?);
    }
    let settled = join_all(held.into_iter().map(Delivery::accept)).await;
    settled.into_iter().collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Ok(())
}

fn event() -> Event {
    Event::new(QUEUE, "bench", TraceId::new(), json!({"input": "where is my parcel? it was to arrive on Monday"}))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

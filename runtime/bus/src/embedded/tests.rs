//! The port's suite, and what only this implementation promises.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use greenroom_contract::{
    BoxFuture,
    clock::SystemClock,
    port::bus::{Bus, Error, Receipt},
};
use greenroom_sqlite::{Database, Failed};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{DELIVERY_LIMIT, EmbeddedBus, MIGRATIONS, Options};
use crate::suite::{
    Stage,
    stage::{command, declare, event, next, nothing, number, publish, publish_all, soon, take, unique, until},
};

struct Embedded {
    bus: Arc<EmbeddedBus>,
    db: Database,
    folder: TempDir,
}

async fn open(folder: TempDir) -> Embedded {
    let db = Database::open(folder.path(), MIGRATIONS).unwrap();
    let bus = EmbeddedBus::start(db.clone(), Arc::new(SystemClock)).await.unwrap();
    Embedded { bus, db, folder }
}

async fn fresh() -> Embedded {
    open(tempfile::tempdir().unwrap()).await
}

impl Stage for Embedded {
    const DELIVERY_LIMIT: u32 = DELIVERY_LIMIT;

    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    fn publish_raw(&self, topic: &str, body: Vec<u8>) -> BoxFuture<'_, Result<Receipt, Error>> {
        self.bus.publish_raw(topic, body)
    }

    /// Opens a copy of the files as they are on disk while the first bus still runs: what a killed process leaves.
    async fn reopen(self) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for file in ["greenroom.db", "greenroom.db-wal"] {
            std::fs::copy(self.folder.path().join(file), copy.path().join(file)).unwrap();
        }
        open(copy).await
    }
}

crate::bus_suite!(fresh);

async fn sql(db: &Database, sql: &'static str) {
    db.write::<_, greenroom_sqlite::Error, _>(|conn| conn.execute_batch(sql).map_err(Failed::from)).await.unwrap();
}

/// Waits until no more tasks run than before.
async fn tasks_end(before: usize) {
    soon("the end of the tasks", async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_waits_once_in_a_queue_however_often_it_is_published() {
    let stage = fresh().await;
    let bus = stage.bus();
    let (name, other, topic) = (unique("queue"), unique("other"), unique("topic"));
    declare(&*bus, &name, &[&topic]).await;
    let twice = event(&topic, 1);
    let answers = bus.publish(vec![command(twice.clone()), command(twice.clone())]).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|r| r.queues == Some(1))), "{answers:?}");
    stage.bus.publish_raw(&topic, twice.to_bytes()).await.unwrap();
    until(&*bus, &name, |info| info.ready == 1).await;
    // A queue that has not got it takes it; one that holds it, delivered or not, does not.
    declare(&*bus, &other, &[&topic]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    let held = next(&mut deliveries).await;
    let answers = bus.publish(vec![command(twice.clone())]).await;
    assert_eq!(answers[0].as_ref().unwrap().queues, Some(2));
    nothing(&mut deliveries).await;
    until(&*bus, &other, |info| info.ready == 1).await;
    // Once it is gone it may come again.
    held.accept().await.unwrap();
    publish(&*bus, twice).await;
    assert_eq!(take(&mut deliveries, 1).await, [1]);
}

#[tokio::test]
async fn its_tasks_end_with_the_last_consumer_and_with_the_bus() {
    let before = Handle::current().metrics().num_alive_tasks();
    let stage = fresh().await;
    let with_bus = Handle::current().metrics().num_alive_tasks();
    let name = unique("queue");
    declare(&*stage.bus, &name, &[]).await;
    let one = stage.bus.consume(&name, 1).await.unwrap();
    let two = stage.bus.consume(&name, 1).await.unwrap();
    drop(one);
    drop(two);
    tasks_end(with_bus).await;

    let mut deliveries = stage.bus.consume(&name, 2).await.unwrap();
    publish(&*stage.bus, event(&name, 1)).await;
    let held = next(&mut deliveries).await;
    let Embedded { bus, db, folder } = stage;
    drop(bus);
    assert!(soon("the end of the subscription", deliveries.next()).await.is_none());
    tasks_end(before).await;
    // What was held can still be settled; then nothing keeps the file any more.
    held.accept().await.unwrap();
    drop((deliveries, db));
    let again = open(folder).await;
    until(&*again.bus, &name, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_waited_for() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish(&*bus, event(&name, 1)).await;
    sql(&stage.db, "ALTER TABLE bus_messages RENAME TO elsewhere").await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    nothing(&mut deliveries).await;
    let refused = bus.publish(vec![command(event(&name, 2))]).await;
    assert!(
        matches!(&refused[0], Err(Error::Unavailable { reason }) if reason.contains("greenroom.db")),
        "{refused:?}"
    );
    sql(&stage.db, "ALTER TABLE elsewhere RENAME TO bus_messages").await;
    assert_eq!(take(&mut deliveries, 1).await, [1]);
    publish(&*bus, event(&name, 3)).await;
    assert_eq!(take(&mut deliveries, 1).await, [3]);
}

#[tokio::test]
async fn a_verdict_that_cannot_be_written_is_an_error_and_the_delivery_comes_again() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    publish(&*bus, event(&name, 1)).await;
    let delivery = next(&mut deliveries).await;
    let refuse = "CREATE TRIGGER refuse BEFORE DELETE ON bus_messages BEGIN SELECT RAISE(ABORT, 'on purpose'); END";
    sql(&stage.db, refuse).await;
    assert!(matches!(delivery.accept().await, Err(Error::Unavailable { .. })));
    sql(&stage.db, "DROP TRIGGER refuse").await;
    assert_eq!(take(&mut deliveries, 1).await, [1]);
}

#[tokio::test]
async fn a_full_disk_refuses_with_its_reason_and_takes_again_when_there_is_room() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    publish(&*bus, event(&name, 1)).await;
    bus.health().await.unwrap();
    sql(&stage.db, "PRAGMA max_page_count = 1").await;
    let mut large = event(&name, 2);
    large.source = "x".repeat(200_000);
    let refused = bus.publish(vec![command(large.clone())]).await;
    assert!(
        matches!(&refused[0], Err(Error::Unavailable { reason }) if reason.contains("disk is full")),
        "{refused:?}"
    );
    sql(&stage.db, "PRAGMA max_page_count = 1000000").await;
    publish(&*bus, large).await;
    assert_eq!(take(&mut deliveries, 2).await, [1, 2]);
}

#[tokio::test]
async fn a_message_that_was_removed_meanwhile_is_stale() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    publish_all(&*bus, (0..2).map(|n| event(&name, n))).await;
    let (one, two) = (next(&mut deliveries).await, next(&mut deliveries).await);
    sql(&stage.db, "DELETE FROM bus_messages").await;
    assert!(matches!(one.accept().await, Err(Error::Stale)));
    // What is put back and is no longer there does not come again, and does not stand in the way.
    drop(two);
    publish(&*bus, event(&name, 2)).await;
    assert_eq!(take(&mut deliveries, 1).await, [2]);
}

#[tokio::test]
async fn an_abandoned_verdict_is_carried_out() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    publish(&*bus, event(&name, 1)).await;
    let delivery = next(&mut deliveries).await;
    assert!(delivery.accept().now_or_never().is_none());
    until(&*bus, &name, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
    nothing(&mut deliveries).await;
}

#[tokio::test]
async fn large_events_wait_on_disk_and_keep_their_order() {
    let stage = fresh().await;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 2).await.unwrap();
    for n in 0..12 {
        let mut event = event(&name, n);
        event.source = "x".repeat(if n % 3 == 0 { 200_000 } else { 10 });
        publish(&*bus, event).await;
    }
    assert_eq!(take(&mut deliveries, 12).await, (0..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_limit_is_an_option_and_what_is_published_to_the_dead_by_name_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(folder.path(), MIGRATIONS).unwrap();
    let options = Options { delivery_limit: 1, ..Options::default() };
    let bus = EmbeddedBus::start_with(db, Arc::new(SystemClock), options).await.unwrap();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish(&*bus, event(&name, 1)).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(number(&delivery.event), 1);
    delivery.reject(greenroom_contract::execution::Failure::new("x", "first")).await.unwrap();
    publish(&*bus, event("greenroom.dead", 2)).await;
    let mut dead = bus.consume_dead(2).await.unwrap();
    let codes = [next(&mut dead).await.death.reason.code, next(&mut dead).await.death.reason.code];
    assert!(codes.contains(&"x".to_owned()) && codes.contains(&"published".to_owned()), "{codes:?}");
}

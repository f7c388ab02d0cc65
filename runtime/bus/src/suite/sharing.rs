//! How consumers share a queue.

use std::collections::BTreeSet;

use greenroom_contract::{
    port::bus::{Delivery, Sharing, Subscription},
    task,
};
use tokio::sync::mpsc;

use super::stage::{
    Stage, declare, declare_as, event, next, nothing, number, publish, publish_all, soon, take, unique, until,
};

pub async fn consumers_share_fairly(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let (report, mut reports) = mpsc::channel(100);
    for who in 0..2 {
        let deliveries = bus.consume(&name, 5).await.unwrap();
        drop(task::spawn("consumer", work(who, deliveries, report.clone())));
    }
    publish_all(&*bus, (0..100).map(|n| event(&name, n))).await;
    let mut shares = [0, 0];
    let mut numbers = BTreeSet::new();
    for _ in 0..100 {
        let (who, n): (usize, u64) = soon("a report", reports.recv()).await.unwrap();
        shares[who] += 1;
        assert!(numbers.insert(n), "{n} came twice");
    }
    assert!(shares.iter().all(|share| *share >= 20), "{shares:?}");
}

async fn work(who: usize, mut deliveries: Subscription<Delivery>, report: mpsc::Sender<(usize, u64)>) {
    while let Some(delivery) = deliveries.next().await {
        let n = number(&delivery.event);
        delivery.accept().await.unwrap();
        report.send((who, n)).await.ok();
    }
}

pub async fn a_trickle_goes_round(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut one = bus.consume(&name, 5).await.unwrap();
    let mut other = bus.consume(&name, 5).await.unwrap();
    let mut shares = [0, 0];
    for n in 0..20 {
        publish(&*bus, event(&name, n)).await;
        // Both are free each time.
        let (who, delivery) = tokio::select! {
            delivery = next(&mut one) => (0, delivery),
            delivery = next(&mut other) => (1, delivery),
        };
        shares[who] += 1;
        delivery.accept().await.unwrap();
    }
    assert!(shares.iter().all(|share| *share >= 5), "{shares:?}");
}

pub async fn a_slow_consumer_does_not_hold_up_the_others(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut slow = bus.consume(&name, 2).await.unwrap();
    let mut quick = bus.consume(&name, 2).await.unwrap();
    publish_all(&*bus, (0..2).map(|n| event(&name, n))).await;
    until(&*bus, &name, |info| info.unacknowledged == 2).await;
    let kept = next(&mut slow).await;
    publish_all(&*bus, (2..20).map(|n| event(&name, n))).await;
    // The slow one has room for one more; everything else goes past it.
    let numbers = take(&mut quick, 18).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    drop(slow);
    drop(kept);
    take(&mut quick, 2).await;
    until(&*bus, &name, |info| (info.ready, info.unacknowledged, info.consumers) == (0, 0, 1)).await;
}

pub async fn a_single_active_consumer_has_all_until_it_goes(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare_as(&*bus, &name, &[], Sharing::SingleActive).await;
    let mut first = bus.consume(&name, 2).await.unwrap();
    let mut second = bus.consume(&name, 2).await.unwrap();
    publish_all(&*bus, (0..10).map(|n| event(&name, n))).await;
    assert_eq!(take(&mut first, 3).await, [0, 1, 2]);
    until(&*bus, &name, |info| (info.unacknowledged, info.consumers) == (2, 2)).await;
    nothing(&mut second).await;
    // It goes with two deliveries in its buffer, which may come to the other a little late.
    drop(first);
    let mut rest = take(&mut second, 7).await;
    rest.sort_unstable();
    assert_eq!(rest, [3, 4, 5, 6, 7, 8, 9]);
    // A third one waits behind the second, and takes over from it when nothing is going on, too.
    let mut third = bus.consume(&name, 2).await.unwrap();
    drop(second);
    publish(&*bus, event(&name, 10)).await;
    assert_eq!(take(&mut third, 1).await, [10]);
}

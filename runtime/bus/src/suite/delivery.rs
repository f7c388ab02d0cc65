//! How what waits reaches one consumer.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::join_all, poll};
use greenroom_contract::{Priority, task};

use super::stage::{
    Priorities, Stage, command, declare, event, next, nothing, number, publish, publish_all, soon, take, tally, unique,
    until, urgent,
};

pub async fn events_arrive_whole_and_in_order(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let sent: Vec<_> = (0..300).map(|n| event(&name, n)).collect();
    // Half waits before there is a consumer, half comes while there is one.
    publish_all(&*bus, sent[..150].to_vec()).await;
    let mut deliveries = bus.consume(&name, 10).await.unwrap();
    for chunk in sent[150..].chunks(7) {
        publish_all(&*bus, chunk.to_vec()).await;
    }
    for expected in sent {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.event, expected);
        assert_eq!((delivery.queue.as_str(), delivery.rejections), (name.as_str(), 0));
        delivery.accept().await.unwrap();
    }
    until(&*bus, &name, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

pub async fn higher_priority_overtakes_what_waits(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish(&*bus, event(&name, 0)).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    let busy = next(&mut deliveries).await;
    // The one consumer is busy: all of these wait.
    let order = [Priority::Low, Priority::Normal, Priority::Critical, Priority::High, Priority::Critical];
    for (n, priority) in (1..).zip(order) {
        publish(&*bus, urgent(&name, n, priority)).await;
    }
    busy.accept().await.unwrap();
    let came = take(&mut deliveries, 5).await;
    match stage.priorities() {
        Priorities::Strict => assert_eq!(came, [3, 5, 4, 2, 1]),
        Priorities::Ignored => assert_eq!(came, [1, 2, 3, 4, 5]),
        Priorities::TwoClasses => {
            let of = |class: [u64; 3]| came.iter().copied().filter(|n| class.contains(n)).collect::<Vec<_>>();
            assert_eq!(came[0], 3, "{came:?}");
            assert_eq!((of([3, 4, 5]), of([1, 2, 0])), (vec![3, 4, 5], vec![1, 2]), "{came:?}");
        }
    }
}

pub async fn no_more_than_the_prefetch_is_unsettled(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish_all(&*bus, (0..20).map(|n| event(&name, n))).await;
    let mut deliveries = bus.consume(&name, 3).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut deliveries).await);
    }
    nothing(&mut deliveries).await;
    until(&*bus, &name, |info| (info.ready, info.unacknowledged, info.consumers) == (17, 3, 1)).await;
    // One settled is one more.
    held.remove(0).accept().await.unwrap();
    held.push(next(&mut deliveries).await);
    nothing(&mut deliveries).await;
    assert_eq!(held.iter().map(|delivery| number(&delivery.event)).collect::<Vec<_>>(), [1, 2, 3]);
}

pub async fn an_unsettled_delivery_that_is_dropped_comes_again_uncounted(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish(&*bus, event(&name, 1)).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    for _ in 0..20 {
        let delivery = next(&mut deliveries).await;
        assert_eq!((number(&delivery.event), delivery.rejections), (1, 0));
        drop(delivery);
    }
    assert_eq!(take(&mut deliveries, 1).await, [1]);
}

pub async fn a_dropped_subscription_gives_back_what_it_buffered_and_leaves_what_is_held(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    publish_all(&*bus, (0..5).map(|n| event(&name, n))).await;
    let mut first = bus.consume(&name, 5).await.unwrap();
    let held = next(&mut first).await;
    until(&*bus, &name, |info| info.unacknowledged == 5).await;
    drop(first);
    let mut second = bus.consume(&name, 10).await.unwrap();
    assert_eq!(take(&mut second, 4).await, [1, 2, 3, 4]);
    nothing(&mut second).await;
    // The holder may settle it still; had it been dropped, it would have come here.
    held.accept().await.unwrap();
    nothing(&mut second).await;
    until(&*bus, &name, |info| (info.ready, info.unacknowledged, info.consumers) == (0, 0, 1)).await;
}

pub async fn cancelling_next_loses_nothing(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    let mut numbers = Vec::new();
    for n in 0..50 {
        // Asked for before it is there, and the asking given up.
        assert!(deliveries.next().now_or_never().is_none());
        publish(&*bus, event(&name, n)).await;
        {
            let mut asked = Box::pin(deliveries.next());
            if let std::task::Poll::Ready(Some(delivery)) = poll!(&mut asked) {
                numbers.push(number(&delivery.event));
                delivery.accept().await.unwrap();
                continue;
            }
        }
        numbers.extend(take(&mut deliveries, 1).await);
    }
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

pub async fn an_abandoned_publication_wakes_the_consumer_all_the_same(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 4).await.unwrap();
    for n in 0..20 {
        let mut publication = bus.publish(vec![command(event(&name, n))]);
        // Begun, then given up: it may happen or not, but what happens must arrive.
        assert!(poll!(&mut publication).is_pending());
    }
    publish(&*bus, event(&name, 99)).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&99) {
        seen.extend(take(&mut deliveries, 1).await);
    }
    assert!(seen.is_sorted() && tally(&seen).values().all(|times| *times == 1), "{seen:?}");
    until(&*bus, &name, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

pub async fn a_large_backlog_drains_within_bounds(stage: impl Stage) {
    const ALL: u64 = 10_000;
    const PREFETCH: usize = 50;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    for from in (0..ALL).step_by(500) {
        publish_all(&*bus, (from..from + 500).map(|n| event(&name, n))).await;
    }
    let mut deliveries = bus.consume(&name, PREFETCH).await.unwrap();
    let mut expected = 0;
    while expected < ALL {
        let mut batch = vec![next(&mut deliveries).await];
        while batch.len() < PREFETCH
            && let Some(Some(delivery)) = deliveries.next().now_or_never()
        {
            batch.push(delivery);
        }
        for delivery in &batch {
            assert_eq!(number(&delivery.event), expected);
            expected += 1;
        }
        if expected.is_multiple_of(1000) {
            let infos = bus.queues().await.unwrap();
            let info = infos.iter().find(|info| info.name == name).unwrap();
            assert!(info.unacknowledged <= PREFETCH as u64, "{info:?}");
        }
        for answer in join_all(batch.into_iter().map(|delivery| delivery.accept())).await {
            answer.unwrap();
        }
    }
    until(&*bus, &name, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

pub async fn publishers_at_once_lose_and_mix_nothing(stage: impl Stage) {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 100;
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 16).await.unwrap();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (bus, name) = (Arc::clone(&bus), name.clone());
            task::spawn("publisher", async move {
                for n in 0..EACH {
                    publish(&*bus, event(&name, publisher * EACH + n)).await;
                }
            })
        })
        .collect();
    let numbers = take(&mut deliveries, (PUBLISHERS * EACH) as usize).await;
    soon("the publishers' end", join_all(publishers)).await;
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    for publisher in 0..PUBLISHERS {
        let own = numbers.iter().filter(|n| **n / EACH == publisher);
        assert!(own.is_sorted(), "publisher {publisher}'s events came out of order");
    }
    nothing(&mut deliveries).await;
}

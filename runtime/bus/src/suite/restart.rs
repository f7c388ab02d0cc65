//! What a crash leaves.

use std::collections::BTreeSet;

use greenroom_contract::{execution::Failure, port::bus::Error};

use super::stage::{Stage, command, declare, event, next, nothing, number, publish, publish_all, take, unique, until};

pub async fn what_was_confirmed_is_there_after_a_crash_and_what_was_accepted_is_not<S: Stage>(stage: S) {
    let bus = stage.bus();
    let (name, topic) = (unique("queue"), unique("topic"));
    declare(&*bus, &name, &[&topic]).await;
    publish_all(&*bus, (0..5).map(|n| event(&topic, n))).await;
    let mut deliveries = bus.consume(&name, 3).await.unwrap();
    assert_eq!(take(&mut deliveries, 1).await, [0]);
    next(&mut deliveries).await.reject(Failure::new("x", "once")).await.unwrap();
    let held = next(&mut deliveries).await;
    drop(bus);

    let stage = stage.reopen().await;
    drop((held, deliveries));
    let bus = stage.bus();
    // The bindings are there, too.
    publish(&*bus, event(&topic, 5)).await;
    let mut deliveries = bus.consume(&name, 10).await.unwrap();
    let mut came = Vec::new();
    while came.len() < 5 {
        let delivery = next(&mut deliveries).await;
        let n = number(&delivery.event);
        let settled_before = n == 0 || n == 1 && delivery.rejections == 0;
        if S::SETTLING_IS_DURABLE || !settled_before {
            assert_eq!(delivery.rejections, u32::from(n == 1));
            came.push(n);
        }
        delivery.accept().await.unwrap();
    }
    if S::REJECTED_KEEPS_ITS_PLACE {
        assert_eq!(came, [1, 2, 3, 4, 5]);
    } else {
        // What was rejected went behind what was there then; what was out when the broker died may come late.
        assert_eq!(came.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3, 4, 5]), "{came:?}");
    }
    nothing(&mut deliveries).await;
}

pub async fn dead_letters_and_retired_queues_outlive_a_crash<S: Stage>(stage: S) {
    let bus = stage.bus();
    let (name, gone) = (unique("queue"), unique("gone"));
    declare(&*bus, &name, &[]).await;
    declare(&*bus, &gone, &[]).await;
    publish_all(&*bus, (0..2).map(|n| event(&name, n))).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    next(&mut deliveries).await.dead(Failure::new("x", "dead")).await.unwrap();
    drop(deliveries);
    bus.retire(&name).await.unwrap();
    bus.retire(&gone).await.unwrap();
    drop(bus);

    let stage = stage.reopen().await;
    let bus = stage.bus();
    let letter = next(&mut bus.consume_dead(1).await.unwrap()).await;
    assert_eq!((letter.death.queue.as_str(), letter.death.reason.message.as_str()), (name.as_str(), "dead"));
    letter.accept().await.unwrap();
    // Retired is retired, and what waits there waits on.
    let answers = bus.publish(vec![command(event(&name, 9))]).await;
    assert!(matches!(answers[0], Err(Error::Unroutable { .. })), "{answers:?}");
    assert!(matches!(bus.consume(&gone, 1).await, Err(Error::UnknownQueue { .. })));
    if S::REMEMBERS_QUEUES {
        until(&*bus, &name, |info| info.ready == 1).await;
    }
    declare(&*bus, &name, &[]).await;
    until(&*bus, &name, |info| info.ready == 1 || info.ready == 2 && !S::SETTLING_IS_DURABLE).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    let mut came = take(&mut deliveries, 1).await;
    if !S::SETTLING_IS_DURABLE && came == [0] {
        came = take(&mut deliveries, 1).await;
    }
    assert_eq!(came, [1]);
}

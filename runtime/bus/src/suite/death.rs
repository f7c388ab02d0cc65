//! Rejections and dead letters.

use greenroom_contract::{
    Event,
    execution::Failure,
    port::bus::{Bus, DEAD_LETTER_QUEUE, DeadDelivery},
};

use super::stage::{Stage, declare, event, next, nothing, number, publish, publish_all, take, unique, until};

async fn the_dead(bus: &dyn Bus) -> DeadDelivery {
    next(&mut bus.consume_dead(1).await.unwrap()).await
}

fn failure(n: u32) -> Failure {
    Failure::new("inbox_refused", format!("refusal {n}"))
}

pub async fn rejections_are_counted_and_the_last_one_is_death<S: Stage>(stage: S) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let poison = event(&name, 1);
    publish_all(&*bus, [poison.clone(), event(&name, 2)]).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    for before in 0..S::DELIVERY_LIMIT {
        let delivery = next(&mut deliveries).await;
        assert_eq!((number(&delivery.event), delivery.rejections), (1, before));
        delivery.reject(failure(before)).await.unwrap();
        if before == 0 && !S::REJECTED_KEEPS_ITS_PLACE {
            assert_eq!(take(&mut deliveries, 1).await, [2]);
        }
    }
    // Where it keeps its place, the second event has not overtaken it.
    if S::REJECTED_KEEPS_ITS_PLACE {
        assert_eq!(take(&mut deliveries, 1).await, [2]);
    }
    nothing(&mut deliveries).await;
    let dead = the_dead(&*bus).await;
    assert_eq!(Event::from_bytes(&dead.body).unwrap(), poison);
    assert_eq!(dead.death.queue, name);
    assert_eq!(dead.death.reason, failure(S::DELIVERY_LIMIT - 1));
    assert_eq!(dead.death.attempts, S::DELIVERY_LIMIT);
    assert!(dead.death.first_at <= dead.death.dead_at);
    dead.accept().await.unwrap();
    until(&*bus, DEAD_LETTER_QUEUE, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

pub async fn a_verdict_of_death_is_carried_out_at_once(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    // Whoever takes the dead letters may be waiting already.
    let mut letters = bus.consume_dead(1).await.unwrap();
    publish(&*bus, event(&name, 1)).await;
    next(&mut deliveries).await.dead(failure(7)).await.unwrap();
    let dead = next(&mut letters).await;
    assert_eq!((dead.death.reason.clone(), dead.death.attempts), (failure(7), 1));
    assert_eq!(dead.death.queue, name);
    dead.accept().await.unwrap();
    nothing(&mut deliveries).await;
}

pub async fn what_is_no_event_never_reaches_a_consumer(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let odd: [&[u8]; 3] = [b"\xff\x00 not JSON", br#"{"schema_version":99}"#, b""];
    stage.publish_raw(&name, odd[0].to_vec()).await.unwrap();
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    for body in &odd[1..] {
        stage.publish_raw(&name, body.to_vec()).await.unwrap();
    }
    publish(&*bus, event(&name, 1)).await;
    assert_eq!(take(&mut deliveries, 1).await, [1]);
    let mut dead = bus.consume_dead(3).await.unwrap();
    for (body, code) in odd.iter().zip(["unreadable", "too_new", "unreadable"]) {
        let letter = next(&mut dead).await;
        assert_eq!(letter.body, *body);
        assert_eq!((letter.death.reason.code.as_str(), letter.death.queue.as_str()), (code, name.as_str()));
        letter.accept().await.unwrap();
    }
    nothing(&mut deliveries).await;
}

pub async fn a_dead_letter_that_is_not_settled_comes_again(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    declare(&*bus, &name, &[]).await;
    let mut deliveries = bus.consume(&name, 1).await.unwrap();
    publish(&*bus, event(&name, 1)).await;
    next(&mut deliveries).await.dead(failure(1)).await.unwrap();
    let mut dead = bus.consume_dead(1).await.unwrap();
    let death = next(&mut dead).await.death;
    let again = next(&mut dead).await;
    assert_eq!(again.death, death);
    again.accept().await.unwrap();
    until(&*bus, DEAD_LETTER_QUEUE, |info| (info.ready, info.unacknowledged) == (0, 0)).await;
}

pub async fn one_event_may_die_in_each_of_its_queues(stage: impl Stage) {
    let bus = stage.bus();
    let (one, other, topic) = (unique("one"), unique("other"), unique("topic"));
    declare(&*bus, &one, &[&topic]).await;
    declare(&*bus, &other, &[&topic]).await;
    publish(&*bus, event(&topic, 1)).await;
    let mut deaths = Vec::new();
    for queue in [&one, &other] {
        let mut deliveries = bus.consume(queue, 1).await.unwrap();
        next(&mut deliveries).await.dead(failure(1)).await.unwrap();
        let letter = the_dead(&*bus).await;
        deaths.push(letter.death.queue.clone());
        letter.accept().await.unwrap();
    }
    assert_eq!(deaths, [one, other]);
}

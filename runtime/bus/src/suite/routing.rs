//! Which events reach which queues.

use greenroom_contract::port::bus::{Error, Publication};

use super::stage::{
    Stage, command, declare, event, next, nothing, number, publish, publish_all, soon, take, unique, until,
};

pub async fn wildcards_route_as_in_amqp(stage: impl Stage) {
    let bus = stage.bus();
    let (one, all, root) = (unique("one"), unique("all"), unique("root"));
    declare(&*bus, &one, &[&format!("{root}.*")]).await;
    declare(&*bus, &all, &[&format!("{root}.#")]).await;
    let mut ones = bus.consume(&one, 8).await.unwrap();
    let mut alls = bus.consume(&all, 8).await.unwrap();
    for (n, topic) in [root.clone(), format!("{root}.a"), format!("{root}.a.b")].iter().enumerate() {
        publish(&*bus, event(topic, n as u64)).await;
    }
    assert_eq!(take(&mut alls, 3).await, [0, 1, 2]);
    assert_eq!(take(&mut ones, 1).await, [1]);
    nothing(&mut ones).await;
}

pub async fn a_queue_is_bound_to_its_own_name_and_takes_an_event_once(stage: impl Stage) {
    let bus = stage.bus();
    let (name, root) = (unique("queue"), unique("root"));
    // Three of its patterns match the same topic.
    declare(&*bus, &name, &[&format!("{root}.x"), &format!("{root}.*"), &format!("{root}.#")]).await;
    let mut deliveries = bus.consume(&name, 8).await.unwrap();
    let again = event(&format!("{root}.x"), 1);
    let answers = bus.publish(vec![command(again), command(event(&name, 2))]).await;
    for answer in answers {
        assert!(matches!(answer.unwrap().queues, None | Some(1)));
    }
    assert_eq!(take(&mut deliveries, 2).await, [1, 2]);
    nothing(&mut deliveries).await;
}

pub async fn no_queue_is_an_error_only_for_commands(stage: impl Stage) {
    let bus = stage.bus();
    let nowhere = unique("nowhere");
    let fact = Publication { event: event(&nowhere, 1), mandatory: false };
    let answers = bus.publish(vec![command(event(&nowhere, 0)), fact]).await;
    assert!(matches!(&answers[0], Err(Error::Unroutable { topic }) if *topic == nowhere), "{answers:?}");
    assert!(matches!(answers[1].as_ref().unwrap().queues, None | Some(0)), "{answers:?}");
}

pub async fn a_batch_has_a_result_for_each_event(stage: impl Stage) {
    let bus = stage.bus();
    let (name, nowhere) = (unique("queue"), unique("nowhere"));
    declare(&*bus, &name, &[]).await;
    let batch = [&name, &nowhere, &name].map(|topic| command(event(topic, 1))).to_vec();
    let answers = bus.publish(batch).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(Error::Unroutable { .. })), "{answers:?}");
    until(&*bus, &name, |info| info.ready == 2).await;
    assert!(bus.publish(Vec::new()).await.is_empty());
}

pub async fn declaring_again_changes_the_bindings(stage: impl Stage) {
    let bus = stage.bus();
    let (name, old, new) = (unique("queue"), unique("old"), unique("new"));
    declare(&*bus, &name, &[&old]).await;
    publish(&*bus, event(&old, 1)).await;
    declare(&*bus, &name, &[&new]).await;
    let answers = bus.publish(vec![command(event(&old, 2)), command(event(&new, 3))]).await;
    assert!(matches!(answers[0], Err(Error::Unroutable { .. })), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");
    let mut deliveries = bus.consume(&name, 8).await.unwrap();
    assert_eq!(take(&mut deliveries, 2).await, [1, 3]);
}

pub async fn an_unknown_queue_cannot_be_consumed(stage: impl Stage) {
    let bus = stage.bus();
    let name = unique("queue");
    let refused = bus.consume(&name, 1).await.unwrap_err();
    assert!(matches!(&refused, Error::UnknownQueue { queue } if *queue == name), "{refused}");
    // Retiring what is not there is done already.
    bus.retire(&name).await.unwrap();
}

pub async fn an_empty_queue_goes_when_it_is_retired(stage: impl Stage) {
    let bus = stage.bus();
    let (name, topic) = (unique("queue"), unique("topic"));
    declare(&*bus, &name, &[&topic]).await;
    let mut deliveries = bus.consume(&name, 8).await.unwrap();
    publish(&*bus, event(&topic, 1)).await;
    next(&mut deliveries).await.accept().await.unwrap();
    bus.retire(&name).await.unwrap();
    assert!(soon("the end of the subscription", deliveries.next()).await.is_none());
    assert!(bus.queues().await.unwrap().iter().all(|info| info.name != name));
    assert_eq!(bus.waiting(&name).await.unwrap(), None);
    let answers = bus.publish(vec![command(event(&topic, 2)), command(event(&name, 3))]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unroutable { .. }))), "{answers:?}");
    // The same name begins anew.
    declare(&*bus, &name, &[&topic]).await;
    let mut deliveries = bus.consume(&name, 8).await.unwrap();
    publish(&*bus, event(&topic, 4)).await;
    assert_eq!(number(&next(&mut deliveries).await.event), 4);
}

pub async fn what_waits_in_a_retired_queue_is_taken_when_it_is_declared_again(stage: impl Stage) {
    let bus = stage.bus();
    let (name, topic) = (unique("queue"), unique("topic"));
    declare(&*bus, &name, &[&topic]).await;
    publish_all(&*bus, (0..3).map(|n| event(&topic, n))).await;
    bus.retire(&name).await.unwrap();
    let answers = bus.publish(vec![command(event(&topic, 9)), command(event(&name, 9))]).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    until(&*bus, &name, |info| info.ready == 3).await;
    assert_eq!(bus.waiting(&name).await.unwrap(), Some(3));
    declare(&*bus, &name, &[&topic]).await;
    publish(&*bus, event(&topic, 3)).await;
    let mut deliveries = bus.consume(&name, 2).await.unwrap();
    assert_eq!(take(&mut deliveries, 4).await, [0, 1, 2, 3]);
}

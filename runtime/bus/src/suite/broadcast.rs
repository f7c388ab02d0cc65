//! What is said to everybody and kept for nobody.

use bytes::Bytes;
use greenroom_contract::port::bus::{Broadcast, Bus, Error, MAX_BROADCAST_BYTES, Subscription};

use super::stage::{Stage, next, nothing, unique};

async fn listen(bus: &dyn Bus, pattern: &str) -> Subscription<Broadcast> {
    bus.listen(pattern.parse().unwrap()).await.unwrap()
}

async fn say(bus: &dyn Bus, topic: &str, n: usize) {
    bus.broadcast(topic, Bytes::from(n.to_string())).await.unwrap();
}

fn number(broadcast: &Broadcast) -> usize {
    std::str::from_utf8(&broadcast.body).unwrap().parse().unwrap()
}

pub async fn everybody_who_listens_hears_in_order(stage: impl Stage) {
    let bus = stage.bus();
    let topic = unique("said");
    let mut listeners = [listen(&*bus, &topic).await, listen(&*bus, &topic).await];
    for n in 0..100 {
        say(&*bus, &topic, n).await;
    }
    for listener in &mut listeners {
        for n in 0..100 {
            let heard = next(listener).await;
            assert_eq!((heard.topic.as_str(), number(&heard)), (topic.as_str(), n));
        }
    }
}

pub async fn patterns_choose_and_nothing_is_kept_for_later(stage: impl Stage) {
    let bus = stage.bus();
    let root = unique("said");
    // Nobody listens: that is no error, and nobody hears it later.
    say(&*bus, &format!("{root}.a"), 0).await;
    let mut one = listen(&*bus, &format!("{root}.a")).await;
    let mut all = listen(&*bus, &format!("{root}.#")).await;
    say(&*bus, &format!("{root}.b"), 1).await;
    say(&*bus, &format!("{root}.a"), 2).await;
    assert_eq!(number(&next(&mut all).await), 1);
    assert_eq!(number(&next(&mut all).await), 2);
    assert_eq!(number(&next(&mut one).await), 2);
    nothing(&mut one).await;
}

pub async fn a_slow_listener_holds_up_nobody(stage: impl Stage) {
    let bus = stage.bus();
    let (noise, signal) = (unique("noise"), unique("signal"));
    let mut slow = listen(&*bus, &noise).await;
    let mut quick = listen(&*bus, &signal).await;
    const SAID: usize = 3_000;
    for n in 0..SAID {
        say(&*bus, &noise, n).await;
    }
    say(&*bus, &signal, 1).await;
    assert_eq!(number(&next(&mut quick).await), 1);
    // It has lost the oldest and hears the newest; what it hears is in order.
    let mut last = number(&next(&mut slow).await);
    assert!(last > 0, "3,000 broadcasts were kept for a listener that took none");
    while last < SAID - 1 {
        let heard = number(&next(&mut slow).await);
        assert!(heard > last, "{heard} after {last}");
        last = heard;
    }
}

pub async fn too_much_at_once_is_refused(stage: impl Stage) {
    let bus = stage.bus();
    let topic = unique("said");
    let mut listener = listen(&*bus, &topic).await;
    let refused = bus.broadcast(&topic, Bytes::from(vec![0; MAX_BROADCAST_BYTES + 1])).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    bus.broadcast(&topic, Bytes::from(vec![7; MAX_BROADCAST_BYTES])).await.unwrap();
    assert_eq!(next(&mut listener).await.body.len(), MAX_BROADCAST_BYTES);
}

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::testing::{Bed, Fate};

#[tokio::test(start_paused = true)]
async fn what_another_node_had_to_do_first_holds_up_nothing_once_it_is_done() {
    let bed = Bed::paused().await;
    bed.store.elsewhere.store(true, Ordering::Relaxed);
    bed.agent("talker", "execution_mode: continuous\nidle: {flush_after: 1h}").await;
    bed.until("it to have seen that it has to wait", || bed.store.looks.load(Ordering::Relaxed) >= 2).await;
    bed.send("talker", "hello");
    let looks = bed.store.looks.load(Ordering::Relaxed);
    bed.until("it to have looked again", || bed.store.looks.load(Ordering::Relaxed) > looks).await;
    assert!(bed.store.fates().is_empty(), "it waits for its turn");
    // The other node is done with it, and tells nobody.
    bed.store.elsewhere.store(false, Ordering::Relaxed);
    let done = || bed.store.fates().iter().any(|(fate, ..)| *fate == Fate::Succeeded(json!("done")));
    bed.until("the message to be handled", done).await;
}

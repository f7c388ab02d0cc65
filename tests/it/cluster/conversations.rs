//! Ordered events to continuous agents over three nodes of which one is killed again and again. The full size is
//! `cargo bench --bench talks`.

use kit::chaos::{Talks, talk};

#[tokio::test(flavor = "multi_thread")]
async fn conversations_are_the_exact_sequence_however_often_nodes_are_killed() {
    let talked = talk(Talks { agents: 20, events: 25, kills: 6, seed: 7 }).await;
    println!("{talked:?}");
}

//! Queues that were left because their arguments have changed: who consumes their name drains them first, and once they have
//! been empty and unused for a while they are deleted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use greenroom_contract::port::bus::Error;

use super::{
    link::{Link, Up},
    queue::look,
    roster::Roster,
    topology::Topology,
};

/// How often they are looked at. One that is empty at two looks is deleted: what a consumer that has just gone still holds is
/// not counted as waiting, and settled by then.
const LOOK: Duration = Duration::from_secs(5);

/// Follows them for ever.
pub(super) async fn follow(link: Link, topology: Arc<Topology>, roster: Arc<Roster>) {
    let mut empty = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(up) = link.up() else { continue };
        for (name, old) in topology.old() {
            if let Err(error) = look_after(&up, &topology, &roster, &name, &old, &mut empty).await {
                tracing::debug!(queue = old, %error, "A queue that was left cannot be looked at; tried again.");
            }
        }
    }
}

async fn look_after(
    up: &Up,
    topology: &Topology,
    roster: &Roster,
    name: &str,
    old: &str,
    empty: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let Some(queue) = look(up, old).await? else {
        topology.forget_old(name, old);
        return Ok(());
    };
    let (waiting, consumers) = (queue.message_count(), queue.consumer_count());
    if waiting > 0 && consumers == 0 && roster.counts(name).1 > 0 {
        // Something went back to it, or a node of an earlier version has published into it: who consumes begins anew, with it.
        roster.dismiss(name).await;
    }
    if waiting > 0 || consumers > 0 {
        empty.remove(old);
    } else if !empty.insert(old.to_owned()) {
        topology.delete_old(up, name, old).await?;
        empty.remove(old);
        tracing::info!(queue = old, name, "A queue that was left for one with other arguments is empty and deleted.");
    }
    Ok(())
}

//! How full the queues are.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use greenroom_contract::port::bus::{Error, QueueInfo};
use tokio::time::timeout;

use super::{
    call::unavailable,
    link::Up,
    queue::{find, look},
    roster::Roster,
};

/// How long all of it may take, however many queues there are.
const LIMIT: Duration = Duration::from_secs(5);
/// How many queues are asked for at a time.
const AT_ONCE: usize = 8;

/// Counts these queues, each with what the broker calls it. What is ready and who consumes is the broker's word for the whole
/// cluster; what is unsettled is known of this process only.
pub(super) async fn count(
    up: &Up,
    roster: &Roster,
    names: BTreeMap<String, Vec<String>>,
) -> Result<Vec<QueueInfo>, Error> {
    let counting = stream::iter(names).map(|(name, actual)| count_one(up, roster, name, actual)).buffered(AT_ONCE);
    let counting = counting.try_filter_map(|info| std::future::ready(Ok(info))).try_collect();
    timeout(LIMIT, counting)
        .await
        .map_err(|_| unavailable(format!("the queues could not be counted within {} s", LIMIT.as_secs())))?
}

/// How many are ready in one queue, under whatever names; `None` if it is not there.
pub(super) async fn waiting(up: &Up, name: &str) -> Result<Option<u64>, Error> {
    let found = find(up, name).await?;
    let ready = found.values().map(|queue| u64::from(queue.message_count())).sum();
    Ok((!found.is_empty()).then_some(ready))
}

async fn count_one(up: &Up, roster: &Roster, name: String, actual: Vec<String>) -> Result<Option<QueueInfo>, Error> {
    let mut found: Option<(u64, u32)> = None;
    for actual in actual {
        if let Some(queue) = look(up, &actual).await? {
            let (ready, consumers) = found.unwrap_or_default();
            found = Some((ready + u64::from(queue.message_count()), consumers + queue.consumer_count()));
        }
    }
    let (unacknowledged, here) = roster.counts(&name);
    Ok(found.map(|(ready, consumers)| QueueInfo { name, ready, unacknowledged, consumers: consumers.max(here) }))
}

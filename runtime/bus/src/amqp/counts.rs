//! How full the queues are.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use greenroom_contract::port::bus::{Error, QueueInfo};
use lapin::{Channel, types::FieldTable};
use tokio::time::timeout;

use super::{
    call::{Trouble, call, unavailable},
    link::Up,
    queue::{close, find, passive},
    roster::Roster,
};

/// How long all of it may take, however many queues there are.
const LIMIT: Duration = Duration::from_secs(5);
/// How many channels ask at a time, and how many queues a channel is asked for at least.
const CHANNELS: usize = 8;
const SHARE: usize = 32;

/// Counts these queues, each with what the broker calls it. What is ready and who consumes is the broker's word for the whole
/// cluster; what is unsettled is known of this process only.
pub(super) async fn count(
    up: &Up,
    roster: &Roster,
    names: BTreeMap<String, Vec<String>>,
) -> Result<Vec<QueueInfo>, Error> {
    let names: Vec<_> = names.into_iter().collect();
    let share = names.len().div_ceil(CHANNELS).max(SHARE);
    let shares: Vec<_> = names.chunks(share).map(<[_]>::to_vec).collect();
    let counting = stream::iter(shares).map(|names| ask(up, roster, names)).buffered(CHANNELS).try_concat();
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

async fn ask(up: &Up, roster: &Roster, names: Vec<(String, Vec<String>)>) -> Result<Vec<QueueInfo>, Error> {
    let mut infos = Vec::with_capacity(names.len());
    let mut channel = up.channel().await?;
    for (name, actual) in names {
        let mut found: Option<(u64, u32)> = None;
        for actual in actual {
            match count_one(&channel, &actual).await {
                Ok((ready, consumers)) => {
                    let (before, others) = found.unwrap_or_default();
                    found = Some((before + ready, others + consumers));
                }
                Err(Trouble::NotFound) => channel = up.channel().await?,
                Err(trouble) => return Err(trouble.into()),
            }
        }
        let Some((ready, consumers)) = found else { continue };
        let (unacknowledged, here) = roster.counts(&name);
        infos.push(QueueInfo { name, ready, unacknowledged, consumers: consumers.max(here) });
    }
    close(channel).await;
    Ok(infos)
}

async fn count_one(channel: &Channel, name: &str) -> Result<(u64, u32), Trouble> {
    let asked = channel.queue_declare(name.into(), passive(), FieldTable::default());
    let queue = call("counting a queue", asked).await?;
    Ok((u64::from(queue.message_count()), queue.consumer_count()))
}

//! How full the queues are.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use greenroom_contract::port::bus::{Error, QueueInfo};
use lapin::{Channel, options::QueueDeclareOptions, types::FieldTable};
use tokio::time::timeout;

use super::{
    call::{Trouble, call, unavailable},
    link::Up,
    roster::Roster,
    topology::close,
};

/// How long all of it may take, however many queues there are.
const LIMIT: Duration = Duration::from_secs(5);
/// How many channels ask at a time, and how many queues a channel is asked for at least.
const CHANNELS: usize = 8;
const SHARE: usize = 32;

/// Counts these queues. What is ready and who consumes is the broker's word for the whole cluster; what is unsettled is
/// known of this process only.
pub(super) async fn count(up: &Up, roster: &Roster, names: Vec<String>) -> Result<Vec<QueueInfo>, Error> {
    let share = names.len().div_ceil(CHANNELS).max(SHARE);
    let shares: Vec<Vec<String>> = names.chunks(share).map(<[String]>::to_vec).collect();
    let counting = stream::iter(shares).map(|names| ask(up, roster, names)).buffered(CHANNELS).try_concat();
    timeout(LIMIT, counting)
        .await
        .map_err(|_| unavailable(format!("the queues could not be counted within {} s", LIMIT.as_secs())))?
}

/// How many are ready in one queue; `None` if it is not there.
pub(super) async fn waiting(up: &Up, name: &str) -> Result<Option<u64>, Error> {
    let channel = up.channel().await?;
    match look(&channel, name).await {
        Ok((ready, _)) => {
            close(channel).await;
            Ok(Some(ready))
        }
        Err(Trouble::NotFound) => Ok(None),
        Err(trouble) => Err(trouble.into()),
    }
}

async fn ask(up: &Up, roster: &Roster, names: Vec<String>) -> Result<Vec<QueueInfo>, Error> {
    let mut infos = Vec::with_capacity(names.len());
    let mut channel = up.channel().await?;
    for name in names {
        match look(&channel, &name).await {
            Ok((ready, consumers)) => {
                let (unacknowledged, here) = roster.counts(&name);
                infos.push(QueueInfo { name, ready, unacknowledged, consumers: consumers.max(here) });
            }
            Err(Trouble::NotFound) => channel = up.channel().await?,
            Err(trouble) => return Err(trouble.into()),
        }
    }
    close(channel).await;
    Ok(infos)
}

async fn look(channel: &Channel, name: &str) -> Result<(u64, u32), Trouble> {
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    let queue = call("counting a queue", channel.queue_declare(name.into(), passive, FieldTable::default())).await?;
    Ok((u64::from(queue.message_count()), queue.consumer_count()))
}

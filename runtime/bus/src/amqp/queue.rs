//! What is asked of the broker about one exchange or queue.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use greenroom_contract::port::bus::Error;
use lapin::{
    Channel, ExchangeKind, Queue,
    options::{
        BasicCancelOptions, BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{FieldTable, ShortString},
};

use super::{
    call::{Trouble, call},
    link::Up,
    names::{COMMANDS, EVENTS, every_name},
};

/// How many bindings are asked for before the broker must have answered.
const BINDINGS: usize = 128;

pub(super) async fn exchange(
    up: &Up,
    name: &str,
    kind: ExchangeKind,
    durable: bool,
    arguments: FieldTable,
) -> Result<(), Error> {
    let channel = up.channel().await?;
    let options = ExchangeDeclareOptions { durable, ..Default::default() };
    match call("declaring an exchange", channel.exchange_declare(name.into(), kind, options, arguments)).await {
        Err(Trouble::Mismatch(text)) => {
            tracing::warn!(
                exchange = name,
                error = text,
                "An exchange exists with other arguments and is used as it is."
            );
        }
        answer => {
            answer?;
            close(channel).await;
        }
    }
    Ok(())
}

pub(super) fn passive() -> QueueDeclareOptions {
    QueueDeclareOptions { passive: true, ..Default::default() }
}

/// Whether a queue is there, and how it is.
pub(super) async fn look(up: &Up, name: &str) -> Result<Option<Queue>, Error> {
    Ok(up.probe.ask(name).await?)
}

/// Which of its names the broker knows a queue by.
pub(super) async fn find(up: &Up, name: &str) -> Result<BTreeMap<String, Queue>, Error> {
    let mut found = BTreeMap::new();
    for name in every_name(name) {
        let there = look(up, &name).await?;
        found.extend(there.map(|queue| (name, queue)));
    }
    Ok(found)
}

/// Creates a queue, or checks that it is as it would be created. Returns a channel that can be used further, and whether the
/// queue is so.
pub(super) async fn create(
    up: &Up,
    channel: Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<(Channel, bool), Error> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    match call("declaring a queue", channel.queue_declare(name.into(), durable, arguments)).await {
        Ok(_) => Ok((channel, true)),
        Err(Trouble::Mismatch(error)) => {
            tracing::debug!(queue = name, error, "A queue exists with other arguments.");
            Ok((up.channel().await?, false))
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// A queue that is the broker's business too, and used as it is.
pub(super) async fn as_it_is(up: &Up, channel: Channel, name: &str, arguments: FieldTable) -> Result<Channel, Error> {
    let (channel, fits) = create(up, channel, name, arguments).await?;
    if !fits {
        tracing::warn!(
            queue = name,
            "A queue exists with other arguments and is used as it is. To renew it: stop its consumers, let it run empty, \
             delete it, and start again."
        );
    }
    Ok(channel)
}

/// A queue of ours that was not bound when its connection was lost: a broker that was killed in its first second may hold
/// its name and nothing else. It is replaced if it does not answer a consumer; nothing was ever published into it.
pub(super) async fn revive(up: &Up, name: &str) -> Result<(), Error> {
    let channel = up.channel().await?;
    let tag = ShortString::from("greenroom-probe");
    let options = BasicConsumeOptions::default();
    let consumed = channel.basic_consume(name.into(), tag.clone(), options, FieldTable::default());
    match call("asking whether a queue answers", consumed).await {
        Ok(_) => {
            call("ending a probe", channel.basic_cancel(tag, BasicCancelOptions::default())).await?;
            // What it was handed goes back with the channel.
            close(channel).await;
            return Ok(());
        }
        Err(Trouble::NotFound) => return Ok(()),
        Err(trouble) => {
            tracing::warn!(queue = name, error = %trouble, "A queue did not survive the broker's end; it is created anew.");
        }
    }
    // The probe may have cost more than its channel: then the next try deletes.
    let channel = up.channel().await?;
    call("deleting a queue", channel.queue_delete(name.into(), QueueDeleteOptions::default())).await?;
    close(channel).await;
    Ok(())
}

pub(super) async fn bind(channel: &Channel, queue: &str, pairs: &[(&str, &str)]) -> Result<(), Error> {
    for pairs in pairs.chunks(BINDINGS) {
        let each = pairs.iter().map(|(exchange, pattern)| {
            let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind(queue.into(), (*exchange).into(), (*pattern).into(), options, arguments)
        });
        call("binding a queue", try_join_all(each)).await?;
    }
    Ok(())
}

pub(super) async fn unbind(channel: &Channel, queue: &str, patterns: impl Iterator<Item = &str>) -> Result<(), Error> {
    let pairs: Vec<_> = patterns.flat_map(|pattern| [(EVENTS, pattern), (COMMANDS, pattern)]).collect();
    for pairs in pairs.chunks(BINDINGS) {
        let each = pairs.iter().map(|(exchange, pattern)| {
            channel.queue_unbind(queue.into(), (*exchange).into(), (*pattern).into(), FieldTable::default())
        });
        call("unbinding a queue", try_join_all(each)).await?;
    }
    Ok(())
}

pub(super) async fn close(channel: Channel) {
    drop(call("closing a channel", channel.close(200, "done".into())).await);
}

pub(super) async fn delete(channel: &Channel, name: &str) -> Result<(), Error> {
    let deleted = call("deleting a queue", channel.queue_delete(name.into(), QueueDeleteOptions::default())).await;
    Ok(deleted.map(drop)?)
}

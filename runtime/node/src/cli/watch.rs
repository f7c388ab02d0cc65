//! `greenroom tree --watch`: the tree, shown again whenever it has changed.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use reqwest::Response;

use super::{client::Client, exit::Exit, output};

/// How often the tree is shown without a change: ages grow, and depths are no changes.
const EVERY: Duration = Duration::from_secs(1);
/// The least time between two pictures.
const PACE: Duration = Duration::from_millis(200);
/// Clears the screen and goes home.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows what `path` answers until it is interrupted, which is no failure. Without a terminal each picture is printed
/// after the last one.
pub(super) fn watch(client: &Client, path: &str) -> Result<(), Exit> {
    client.block_on(async {
        tokio::select! {
            ended = show(client, path) => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Exit::from),
        }
    })
}

async fn show(client: &Client, path: &str) -> Result<(), Exit> {
    let clear = if std::io::stdout().is_terminal() { CLEAR } else { "" };
    // Whoever cannot be reached at all is an error; one that goes away meanwhile is waited for.
    let mut picture = client.fetch(path).await?;
    let mut changes = None;
    loop {
        let drawn = writeln!(anstream::stdout(), "{clear}{}", picture.trim_end());
        if drawn.and_then(|()| anstream::stdout().flush()).is_err() {
            // Nobody reads any more (`| head`).
            return Ok(());
        }
        if changes.is_none() {
            changes = client.follow("/v1/tree/stream?scope=cluster").await;
        }
        picture = loop {
            until_changed(&mut changes).await;
            match client.fetch(path).await {
                Ok(picture) => break picture,
                Err(exit) => output::note(exit.message),
            }
        };
    }
}

/// Returns with a change, or after a while. A stream that has ended is let go; then only the while counts.
async fn until_changed(changes: &mut Option<Response>) {
    if let Some(stream) = changes {
        match tokio::time::timeout(EVERY, stream.chunk()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None) | Err(_)) => *changes = None,
        }
        tokio::time::sleep(PACE).await;
    } else {
        tokio::time::sleep(EVERY).await;
    }
}

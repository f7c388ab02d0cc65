//! Where the log goes.

use std::{io::IsTerminal, path::Path};

use greenroom_config::node::{Log, LogFormat};
use tracing_appender::{
    non_blocking::WorkerGuard,
    rolling::{RollingFileAppender, Rotation},
};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use super::{json::Json, panics::log_panics};

/// How the log files' names begin.
pub const LOG_FILE_PREFIX: &str = "greenroom";
/// One file a day; so many are kept.
const FILES_KEPT: usize = 7;

/// Flushes the log when dropped: keep it until the end.
pub struct Guard {
    _file: WorkerGuard,
}

/// Starts logging to standard output and to `{data_dir}/logs`. Fails when the filter is malformed, or the folder cannot
/// be written.
pub fn start(log: &Log, data_dir: &Path) -> anyhow::Result<Guard> {
    // The actor library opens a span of its own for each actor, whose fields would only stand in the way of ours; the
    // tool library prints what servers send, which may be anything; the broker's client warns of returned messages with
    // their whole content, and calls it an error to be told that a queue is not there; AWS's SDK prints requests with their credentials.
    const OTHERS: &str = "ractor=warn,rmcp=off,lapin=error,lapin::channel=off,aws_config=warn,aws_runtime=warn,aws_sigv4=warn,\
        aws_smithy_runtime=warn,aws_smithy_http=warn,aws_smithy_http_client=warn";
    let directives = format!("{OTHERS},{}", log.filter);
    let filter = || EnvFilter::try_new(&directives).map_err(|error| anyhow::anyhow!("GREENROOM_LOG: {error}"));
    let folder = data_dir.join("logs");
    // Asked for before the appender is, which complains on standard error of a folder that it then makes.
    std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(LOG_FILE_PREFIX)
        .filename_suffix("jsonl")
        .max_log_files(FILES_KEPT)
        .build(&folder)
        .map_err(|error| unwritable(&folder, &error))?;
    let (file, guard) = tracing_appender::non_blocking(file);
    let pretty = match log.format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stdout().is_terminal(),
    };
    let screen = if pretty {
        let colour = std::io::stdout().is_terminal() && greenroom_config::env::wants_colour();
        tracing_subscriber::fmt::layer().with_ansi(colour).compact().boxed()
    } else {
        Json::new(std::io::stdout).boxed()
    };
    tracing_subscriber::registry()
        .with(screen.with_filter(filter()?))
        .with(Json::new(file).with_filter(filter()?))
        .try_init()
        .map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))?;
    log_panics();
    Ok(Guard { _file: guard })
}

fn unwritable(folder: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    let folder = folder.display();
    anyhow::anyhow!("{folder}: the log folder cannot be written ({error}); make it writable or set GREENROOM_DATA_DIR")
}

//! What a program says to its standard error: into our log at debug level, bounded, without its secrets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::ChildStderr,
    sync::Notify,
    time::{Instant, timeout},
};

use super::link::Link;

const LONGEST_LINE: u64 = 4096;
/// How many lines are logged in each span of time; what comes besides is counted.
const LINES: u32 = 200;
const SPAN: Duration = Duration::from_secs(10);
/// How many of the last lines are kept for the reason of its end, and how long they may be together.
const KEPT: usize = 3;
const LONGEST_REASON: usize = 300;

/// How long they are waited for when the program has exited.
const PATIENCE: Duration = Duration::from_millis(300);

/// The last lines of a program.
#[derive(Clone, Default)]
pub(super) struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    all_read: Arc<Notify>,
}

impl LastWords {
    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(line);
        if lines.len() > KEPT {
            lines.pop_front();
        }
    }

    /// What a program that has exited said last, fit to be added to a reason; nothing if it said nothing.
    pub(super) async fn told(&self) -> String {
        // Something that it started may hold its standard error open.
        if timeout(PATIENCE, self.all_read.notified()).await.is_err() {
            tracing::debug!("A tool server has exited, and its standard error is still open.");
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let text = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" | ");
        let cut = text.chars().count().saturating_sub(LONGEST_REASON);
        format!("; it said: {}", text.chars().skip(cut).collect::<String>())
    }
}

/// Reads until the program closes its standard error.
pub(super) async fn listen(stderr: ChildStderr, link: Arc<Link>, last: LastWords) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let (mut since, mut logged, mut silenced) = (Instant::now(), 0, 0_u64);
    loop {
        line.clear();
        // A line is cut where it is too long; the rest is read as the next.
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = link.veil.over_words(String::from_utf8_lossy(&line).trim_end().to_owned());
        if since.elapsed() >= SPAN {
            if silenced > 0 {
                tracing::debug!(
                    tool.server = link.name(),
                    lines = silenced,
                    "A tool server wrote more than is logged."
                );
            }
            (since, logged, silenced) = (Instant::now(), 0, 0);
        }
        if logged < LINES {
            logged += 1;
            tracing::debug!(tool.server = link.name(), tool.stderr = text, "A tool server wrote to its log.");
        } else {
            silenced += 1;
        }
        if !text.is_empty() {
            last.push(text);
        }
    }
    last.all_read.notify_one();
}

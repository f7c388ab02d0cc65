//! What a program says to its standard error: into our log at debug level, bounded, without its secrets.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    sync::Notify,
    time::{Instant, timeout},
};

use super::link::Link;

const LONGEST_LINE: usize = 4096;
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
pub(super) async fn listen(stderr: impl AsyncRead + Unpin, link: Arc<Link>, last: LastWords) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    let mut was_cut = false;
    let (mut since, mut logged, mut silenced) = (Instant::now(), 0, 0_u64);
    loop {
        line.clear();
        if was_cut && skip_line(&mut reader).await.is_err() {
            break;
        }
        match (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        was_cut = line.len() == LONGEST_LINE && !line.ends_with(b"\n");
        let mut text = link.veil.over_words(String::from_utf8_lossy(&line).into_owned());
        if was_cut {
            // Its end may be the beginning of a secret, which the veil did not find.
            let kept = text.chars().count().saturating_sub(link.veil.longest());
            text = text.chars().take(kept).collect();
        }
        text.truncate(text.trim_end().len());
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

/// Reads to the end of the line without keeping anything of it.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<()> {
    loop {
        let read = reader.fill_buf().await?;
        let (all, end) = (read.len(), read.iter().position(|byte| *byte == b'\n'));
        reader.consume(end.map_or(all, |end| end + 1));
        if end.is_some() || all == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use greenroom_config::Environment;
    use serde_json::json;

    use super::*;

    async fn heard(said: &str) -> String {
        let server = json!({ "command": "x", "env_from": { "THEIRS": "OURS" } });
        let env = Environment::from_pairs([("OURS", "canary-of-a-program")]);
        let link = Link::new(&serde_json::from_value(server).unwrap(), &env).unwrap();
        let last = LastWords::default();
        listen(said.as_bytes(), Arc::new(link), last.clone()).await;
        last.told().await
    }

    #[tokio::test]
    async fn a_secret_across_the_end_of_a_long_line_is_not_told() {
        for before in (LONGEST_LINE - 20)..=LONGEST_LINE {
            let long = format!("{}canary-of-a-program, and {}", "x".repeat(before), "so on ".repeat(2000));
            let told = heard(&format!("{long}\nthe next line\n")).await;
            assert!(told.ends_with("x | the next line"), "{before}: {told}");
            assert!(!told.contains("can") && !told.contains("program"), "{before}: {told}");
        }
    }

    #[tokio::test]
    async fn a_line_of_just_the_longest_length_costs_no_other_line() {
        let full = "x".repeat(LONGEST_LINE - 1);
        assert!(heard(&format!("{full}\nthe next line")).await.ends_with("x | the next line"));
        let fuller = "x".repeat(LONGEST_LINE);
        assert!(heard(&format!("{fuller}\nthe next line")).await.ends_with("x | the next line"));
    }
}

//! A running child.

use std::{
    fs,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant},
};

use tokio::process::Child;

use crate::{
    process,
    wait::{self, cut},
};

/// So many of a node's last lines stand in the message of a failed story, and so much of each; the rest is in the files.
const LAST_LINES: usize = 60;
const LINE: usize = 600;

/// A child process. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// When it was started.
    pub started: Instant,
}

impl Process {
    pub(super) fn new(child: Child, stdout: PathBuf, stderr: PathBuf, started: Instant) -> Self {
        Self { child, stdout, stderr, started }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end, at most `limit`.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn exit(&mut self, limit: Duration) -> ExitStatus {
        wait::seen("the process to end", limit, async || self.ended().ok_or_else(|| format!("\n{}", self.output())))
            .await
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub async fn kill9(&mut self) {
        // An error means that it is gone already.
        self.child.kill().await.ok();
    }

    /// Its number; nothing when it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Freezes it, as a machine does that is overloaded or asleep (SIGSTOP).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn freeze(&self) {
        process::freeze(&[self.living_pid()]);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Interrupts it, as Ctrl-C does (SIGINT).
    ///
    /// # Panics
    /// When it is gone already.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    fn living_pid(&self) -> u32 {
        let Some(pid) = self.child.id() else { panic!("the process has ended:\n{}", self.output()) };
        pid
    }

    fn signal(&self, name: &str) {
        process::signal(name, &[self.living_pid()]);
    }

    /// Its resident memory now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc_file("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap_or_default()
    }

    /// The processor time that it used so far, in user and kernel together.
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(self.proc_file("stat")).unwrap_or_default();
        // The second field is the program's name in brackets, which may hold anything; utime and stime are 14 and 15.
        let after_name = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
        let ticks: u64 = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        // The kernel's unit for programs has been 1/100 s on every Linux for decades.
        Duration::from_millis(ticks * 10)
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it said besides, so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The last lines of both, and where all of them are.
    pub fn output(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter();
            last.map(|line| cut((*line).to_owned(), LINE)).collect::<Vec<_>>().join("\n")
        };
        let (stdout, stderr) = (tail(self.stdout()), tail(self.stderr()));
        format!("--- {}\n{stdout}\n--- {}\n{stderr}", self.stdout.display(), self.stderr.display())
    }

    fn proc_file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id().unwrap_or_default()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed story is read with its node's last words")]
            {
                eprintln!("{}", self.output());
            }
        }
    }
}

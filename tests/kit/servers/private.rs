//! A server of a test's own, to be killed and frozen.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::script;
use crate::{process, wait};

/// A killed process is gone at once; an orderly stop may flush first.
const DEATH_LIMIT: Duration = wait::PATIENCE;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RabbitMQ, as Debian has it, without its management.
    RabbitMq,
    /// PostgreSQL.
    Postgres,
    /// Redis, which writes down what it is given.
    Redis,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

/// A private server, on a port that it keeps. Killed and removed with its data when it is dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    folder: PathBuf,
    url: String,
    /// The main process; absent while the server is down.
    pid: Option<u32>,
}

impl Server {
    /// Starts a server and waits until it answers: about 5 s for RabbitMQ, 1 s for PostgreSQL.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start(kind: Kind) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let own = std::process::id();
        let folder = format!("private/{}-{own}-{}", kind.name(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = script::base().join(folder);
        // By this the script knows what a killed test left behind.
        let owned = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("owner"), own.to_string()));
        owned.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut server = Self { kind, folder, url: String::new(), pid: None };
        server.start_again().await;
        server
    }

    /// Where it listens, with its user: the same after each start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether its main process lives.
    pub fn lives(&self) -> bool {
        self.pid.is_some_and(process::lives)
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`], on the same port, with the data that it had.
    ///
    /// # Panics
    /// When it lives, or does not come up.
    pub async fn start_again(&mut self) {
        assert!(!self.lives(), "{:?} is to start again and has not ended", self.kind);
        let folder = self.folder.display().to_string();
        let mut command = tokio::process::Command::from(script::command(&["start", self.kind.name(), &folder]));
        self.url = script::printed(command.output().await).trim().to_owned();
        let pid = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        self.pid = pid.trim().parse().ok();
        assert!(self.lives(), "{:?} answers, and its process {pid:?} is not there", self.kind);
    }

    /// Kills it with its children, as `kill -9` does, and waits until all are gone.
    ///
    /// # Panics
    /// When it was not there, or does not die.
    pub async fn kill(&mut self) {
        let pid = self.take_pid();
        // Stopped first, so that no child is born between the look and the blow.
        process::freeze(&[pid]);
        let family = process::family(pid);
        process::signal("KILL", &family);
        self.gone(&family).await;
    }

    /// Stops it in order, and waits until it is gone.
    ///
    /// # Panics
    /// When it was not there, or does not end.
    pub async fn stop(&mut self) {
        let pid = self.take_pid();
        let family = process::family(pid);
        // PostgreSQL would wait for its clients after a SIGTERM.
        process::signal(if self.kind == Kind::Postgres { "INT" } else { "TERM" }, &[pid]);
        self.gone(&family).await;
    }

    /// Freezes it with its children (SIGSTOP): connections stand, and nobody answers.
    ///
    /// # Panics
    /// When it is not there.
    pub fn freeze(&self) {
        let pid = self.living_pid();
        process::freeze(&[pid]);
        process::freeze(&process::family(pid));
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Panics
    /// When it is not there.
    pub fn thaw(&self) {
        process::signal("CONT", &process::family(self.living_pid()));
    }

    /// Tells RabbitMQ something by its own command line: `["set_vm_memory_high_watermark", "0.4"]`.
    ///
    /// # Panics
    /// When it is another server, or refuses.
    pub async fn ctl(&self, arguments: &[&str]) {
        assert_eq!(self.kind, Kind::RabbitMq, "only RabbitMQ has a rabbitmqctl");
        let folder = self.folder.display().to_string();
        let arguments = [&["ctl", &folder], arguments].concat();
        script::printed(tokio::process::Command::from(script::command(&arguments)).output().await);
    }

    fn living_pid(&self) -> u32 {
        match self.pid.filter(|pid| process::lives(*pid)) {
            Some(pid) => pid,
            None => panic!("{:?} is down", self.kind),
        }
    }

    fn take_pid(&mut self) -> u32 {
        let pid = self.living_pid();
        self.pid = None;
        pid
    }

    async fn gone(&self, family: &[u32]) {
        wait::seen(&format!("{:?} to be gone", self.kind), DEATH_LIMIT, async || {
            let left: Vec<&u32> = family.iter().filter(|pid| process::lives(**pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?} live")) }
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The script kills what lives, frozen or not, and its helpers. Its failure leaves a folder that the next `up` takes.
        script::command(&["end", &self.folder.display().to_string()]).output().ok();
    }
}

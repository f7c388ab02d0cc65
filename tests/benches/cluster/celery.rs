//! Celery beside us: the same task that does nothing, on the same broker, with its results in the same Redis; and once more
//! with its results as durable as ours, in a Redis that writes each to the disk before it answers.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use kit::servers::{Kind, RedisDatabase, Server, Shared, Vhost};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{Outcome, stats::Round};

/// Worker processes, as many as the machine of the measurements in tests/README.md has cores.
const WORKERS: &str = "2";
/// Confirmed publishing keeps one Python process busy, so that two give the tasks where there is more than one at a time.
const DRIVERS: usize = 2;
const LIMIT: Duration = Duration::from_secs(120);

/// A worker, and who gives it tasks. All are killed when this is dropped.
pub(crate) struct Celery {
    drivers: Vec<Driver>,
    _worker: Child,
    _vhost: Vhost,
    _results: Results,
}

/// Where a task's result is.
enum Results {
    /// In a database of the shared Redis, which writes to the disk every second.
    Shared { _redis: RedisDatabase },
    /// In a Redis that answers when a write is on the disk.
    Durable { _redis: Server },
}

struct Driver {
    _process: Child,
    tasks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    latencies: Vec<f64>,
}

impl Celery {
    /// Installs it if need be, and starts it; with `durable`, a result is on the disk when it is told. `Err` says what is
    /// missing.
    pub(crate) async fn start(servers: &Shared, durable: bool) -> Outcome<Self> {
        let programs = install().await?;
        let vhost = servers.vhost().await;
        let (url, results) = match durable {
            true => {
                let redis = Server::start(Kind::Redis).await;
                write_through(redis.url()).await?;
                (redis.url().to_owned(), Results::Durable { _redis: redis })
            }
            false => {
                let redis = servers.redis();
                (redis.url.clone(), Results::Shared { _redis: redis })
            }
        };
        let equip = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.current_dir(scripts()).kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::null());
            command.env("PEER_AMQP_URL", &vhost.url).env("PEER_REDIS_URL", &url).env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        let mut worker = equip("celery");
        worker.args(["-A", "tasks", "worker", "--concurrency", WORKERS, "--loglevel", "error"]);
        worker.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]).stdout(Stdio::null());
        let worker = worker.spawn()?;
        let mut drivers = Vec::new();
        for _ in 0..DRIVERS {
            let mut driver = equip("python");
            let mut process = driver.arg("drive.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let (tasks, answers) = (process.stdin.take(), process.stdout.take());
            let (Some(tasks), Some(answers)) = (tasks, answers) else { return Err("a pipe is missing".into()) };
            drivers.push(Driver { _process: process, tasks, answers: BufReader::new(answers).lines() });
        }
        let mut celery = Self { drivers, _worker: worker, _vhost: vhost, _results: results };
        // It is there once it has answered everybody.
        celery.round(2 * DRIVERS, DRIVERS).await?;
        Ok(celery)
    }

    /// Has so many tasks done, so many at a time.
    pub(crate) async fn round(&mut self, tasks: usize, at_a_time: usize) -> Outcome<Round> {
        let count = at_a_time.min(self.drivers.len());
        let shares = self.drivers.iter_mut().take(count).map(|driver| driver.run(tasks / count, at_a_time / count));
        let answers = futures::future::try_join_all(shares).await?;
        let longest = answers.iter().map(|answer| answer.seconds).fold(0.0, f64::max);
        let latencies = answers.iter().flat_map(|answer| &answer.latencies).map(|took| Duration::from_secs_f64(*took));
        Ok(Round { took: Duration::from_secs_f64(longest), latencies: latencies.collect() })
    }
}

impl Driver {
    async fn run(&mut self, tasks: usize, at_a_time: usize) -> Outcome<Answer> {
        self.tasks.write_all(format!("{tasks} {at_a_time}\n").as_bytes()).await?;
        let line = tokio::time::timeout(LIMIT, self.answers.next_line()).await??;
        Ok(serde_json::from_str(&line.ok_or("Celery's driver has ended; is its worker up?")?)?)
    }
}

/// Has a Redis answer when a write is on its disk.
async fn write_through(url: &str) -> Outcome<()> {
    let mut connection = TcpStream::connect(url.trim_start_matches("redis://")).await?;
    connection.write_all(b"CONFIG SET appendfsync always\r\n").await?;
    let mut answer = [0; 5];
    tokio::time::timeout(LIMIT, connection.read_exact(&mut answer)).await??;
    if &answer == b"+OK\r\n" { Ok(()) } else { Err("Redis does not write through".into()) }
}

async fn install() -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    // A bench runs from `target/release/deps`.
    let target = here.ancestors().nth(3).ok_or("the bench does not know where it runs from")?;
    let installed = Command::new(scripts().join("install")).arg(target.join("peers/celery")).output().await?;
    if !installed.status.success() {
        return Err(String::from_utf8_lossy(&installed.stderr).trim().to_owned().into());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&installed.stdout).trim()))
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/celery")
}

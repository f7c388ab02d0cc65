//! The nodes: children of this process, of this very executable.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cli::{ADDRESS_FILE, exit::Exit};

/// How long a node may take to come up; servers far away may be slow.
const START: Duration = Duration::from_secs(60);
/// Between two looks at a process that can be asked and cannot call back.
pub(super) const LOOK: Duration = Duration::from_millis(10);

pub(super) struct Fleet {
    nodes: Vec<Node>,
    exe: PathBuf,
    environment: Vec<(OsString, OsString)>,
    doors: Doors,
}

struct Node {
    name: String,
    folder: PathBuf,
    child: Option<Child>,
}

/// Where the living nodes can be asked.
#[derive(Clone)]
pub(super) struct Doors {
    addresses: Arc<Mutex<Vec<Option<String>>>>,
    http: reqwest::Client,
}

impl Fleet {
    /// Makes the nodes' folders; nothing is started yet. `environment` is all that the nodes see.
    pub(super) fn new(
        number: usize,
        prefix: &str,
        folder: &Path,
        exe: PathBuf,
        environment: Vec<(OsString, OsString)>,
        http: reqwest::Client,
    ) -> io::Result<Self> {
        let mut nodes = Vec::new();
        for index in 0..number {
            let node =
                Node { name: format!("{prefix}-{index}"), folder: folder.join(format!("node-{index}")), child: None };
            fs::create_dir_all(&node.folder)?;
            nodes.push(node);
        }
        let doors = Doors { addresses: Arc::new(Mutex::new(vec![None; number])), http };
        Ok(Self { nodes, exe, environment, doors })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn name(&self, index: usize) -> &str {
        &self.nodes[index].name
    }

    pub(super) fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// Starts a node and waits until it takes work in. Returns when its process began.
    pub(super) async fn start(&mut self, index: usize) -> Result<Instant, Exit> {
        let node = &mut self.nodes[index];
        let noted = node.folder.join("data").join(ADDRESS_FILE);
        // One that a killed node left behind leads to nobody.
        fs::remove_file(&noted).ok();
        let log = File::options().create(true).append(true).open(node.folder.join("log"))?;
        let mut command = Command::new(&self.exe);
        command
            .args(["up", "--tethered"])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("GREENROOM_NODE", &node.name)
            .env("GREENROOM_DATA_DIR", node.folder.join("data"))
            .current_dir(&node.folder)
            // Never written to: it closes with this process, however that ends, and the node with it.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        let began = Instant::now();
        let mut child = command.spawn()?;
        let address = loop {
            if let Some(status) = child.try_wait()? {
                return Err(Exit::failed(format!(
                    "node {} ended with {status} at its start:\n{}",
                    node.name,
                    node.last_words()
                )));
            }
            let address = fs::read_to_string(&noted).unwrap_or_default();
            if !address.is_empty() && self.doors.is_ready(address.trim()).await {
                break address.trim().to_owned();
            }
            if began.elapsed() > START {
                return Err(Exit::failed(format!(
                    "node {} is not ready after {START:?}:\n{}",
                    node.name,
                    node.last_words()
                )));
            }
            tokio::time::sleep(LOOK).await;
        };
        node.child = Some(child);
        self.doors.set(index, Some(address));
        Ok(began)
    }

    /// Kills a node as `kill -9` does.
    pub(super) async fn kill(&mut self, index: usize) -> Result<(), Exit> {
        self.doors.set(index, None);
        if let Some(mut child) = self.nodes[index].child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Ends all nodes.
    pub(super) async fn end(&mut self) {
        for index in 0..self.nodes.len() {
            self.kill(index).await.ok();
        }
    }
}

impl Node {
    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Doors {
    fn set(&self, index: usize, address: Option<String>) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)[index] = address;
    }

    /// A living node's address; `chance` chooses.
    pub(super) fn any(&self, chance: usize) -> Option<String> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let living: Vec<&String> = addresses.iter().flatten().collect();
        (!living.is_empty()).then(|| living[chance % living.len()].clone())
    }

    /// Asks a living node, whichever.
    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        let address = self.any(0).ok_or("no node is up")?;
        let answer =
            self.http.get(format!("http://{address}{path}")).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(body) } else { Err(format!("{status}: {body}")) }
    }

    /// Gives an agent work by a living node, under a key. Says whether it was taken in.
    pub(super) async fn give(&self, chance: usize, agent: &str, trace: &str, input: &str) -> bool {
        let Some(address) = self.any(chance) else { return false };
        let request = self.http.post(format!("http://{address}/v1/agents/{agent}/invoke"));
        let request = request.header("x-trace-id", trace).header("idempotency-key", trace);
        let answer = request.json(&serde_json::json!({"input": input})).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn is_ready(&self, address: &str) -> bool {
        let answer = self.http.get(format!("http://{address}/health/ready")).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

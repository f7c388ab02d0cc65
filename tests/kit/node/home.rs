//! A node's folders. They outlive the node, as they do in life.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Launch, mcp_server};

/// A temporary home: `config/agents/`, `data/`, and what its nodes printed. Gone when it is dropped, unless its story has failed.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    launches: AtomicUsize,
}

impl Home {
    /// A home without agents.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[expect(clippy::new_without_default, reason = "a default would hide that each call makes a folder")]
    pub fn new() -> Self {
        let folder = match tempfile::Builder::new().prefix("greenroom-it-").tempdir() {
            Ok(folder) => folder,
            Err(error) => panic!("no temporary folder: {error}"),
        };
        let home = Self { folder, launches: AtomicUsize::new(0) };
        done("make the agents' folder", fs::create_dir_all(home.agents()));
        home
    }

    /// The home's folder; nodes run in it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `GREENROOM_CONFIG_DIR`.
    pub fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    /// Where the agents' files are.
    pub fn agents(&self) -> PathBuf {
        self.config().join("agents")
    }

    /// `GREENROOM_DATA_DIR`; the node makes it.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes an agent's file as editors do: beside it, then renamed over it. Lines keep their numbers.
    pub fn agent(&self, name: &str, yaml: &str) -> &Self {
        let (file, draft) = (self.agents().join(format!("{name}.yaml")), self.path().join(format!("{name}.draft")));
        done("write an agent", fs::write(&draft, yaml));
        done("write an agent", fs::rename(&draft, &file));
        self
    }

    /// Deletes an agent's file.
    pub fn remove_agent(&self, name: &str) {
        done("remove an agent", fs::remove_file(self.agents().join(format!("{name}.yaml"))));
    }

    /// How many agents' files there are.
    pub fn agent_files(&self) -> usize {
        fs::read_dir(self.agents()).map(Iterator::count).unwrap_or_default()
    }

    /// The lines of an agent's `tools:` that give it the tool server `kit-mcp`. What it counts is in [`Self::tool_calls`].
    pub fn mcp_tool(&self, effect: &str) -> String {
        let (server, counts) = (mcp_server().display(), self.tool_count_file());
        format!("  - mcp: {{command: \"{server}\", args: [\"{}\"], effect: {effect}}}", counts.display())
    }

    /// Every call that the tool server carried out, one line each, over all its lives: `lookup_ticket {"id":"7"}`.
    pub fn tool_calls(&self) -> Vec<String> {
        self.tool_ledger().into_iter().map(|(call, _)| call).collect()
    }

    /// The same, each with the idempotency key that came with the call: execution, attempt and step, `…/1/2`.
    pub fn tool_ledger(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.tool_count_file()).unwrap_or_default();
        text.lines().filter_map(|line| line.split_once('\t')).map(|(call, key)| (call.into(), key.into())).collect()
    }

    /// The effects of the tool `book`, over all nodes and lives: one for each idempotency key, with the arguments of the
    /// call that had it first.
    pub fn tool_effects(&self) -> BTreeMap<String, String> {
        let ledger = self.tool_count_file().with_extension("effects");
        let effects = fs::read_dir(ledger).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path()).unwrap_or_default())
        };
        effects.map(read).collect()
    }

    /// A node in this home, or another command of the binary, to be equipped and started.
    pub fn launch(&self) -> Launch<'_> {
        Launch::new(self)
    }

    /// Every log line (JSON) that the nodes of this home wrote so far, oldest node first.
    pub fn logs(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for launch in 0..self.launches.load(Ordering::Relaxed) {
            for stream in ["out", "err"] {
                let text = fs::read_to_string(self.output_file(launch, stream)).unwrap_or_default();
                lines.extend(text.lines().filter(|l| l.starts_with('{')).filter_map(|l| serde_json::from_str(l).ok()));
            }
        }
        lines
    }

    /// The log lines that carry this trace id.
    pub fn logs_of_trace(&self, trace_id: &str) -> Vec<Value> {
        self.logs().into_iter().filter(|line| line["trace_id"] == trace_id).collect()
    }

    /// The files that a launch writes its standard output and error to.
    pub(super) fn next_outputs(&self) -> (PathBuf, PathBuf) {
        let launch = self.launches.fetch_add(1, Ordering::Relaxed);
        (self.output_file(launch, "out"), self.output_file(launch, "err"))
    }

    fn output_file(&self, launch: usize, stream: &str) -> PathBuf {
        self.path().join(format!("{launch}.{stream}"))
    }

    fn tool_count_file(&self) -> PathBuf {
        self.path().join("tool-calls")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What the nodes wrote is read after a failure.
        self.folder.disable_cleanup(std::thread::panicking());
    }
}

fn done<T>(what: &str, result: std::io::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the test could not {what}: {error}"),
    }
}

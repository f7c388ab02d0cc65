//! Starting the binary: as a node that stays, or as a command that ends.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::{Home, Node, Process, greenroom};
use crate::wait;

/// A debug build on a busy machine starts in well under a second; this is for the worst day.
const START_LIMIT: Duration = wait::PATIENCE;
/// A command that ends.
const COMMAND_LIMIT: Duration = wait::PATIENCE;

/// A start of the binary, with exactly the environment that is given here (and `PATH`).
#[derive(Debug)]
pub struct Launch<'a> {
    home: &'a Home,
    environment: BTreeMap<String, String>,
    agents: Option<usize>,
    shell: Option<String>,
    verb: Vec<String>,
    data: PathBuf,
}

/// A command that ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Finished {
    /// Itself, if its exit code is 0.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Itself, if it failed by its own decision: an exit code that is neither 0 nor a panic's 101.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn refused(self) -> Self {
        let refused = self.code.is_some_and(|code| code != 0 && code != 101);
        assert!(refused, "exit code {:?}\nstdout:\n{}\nstderr:\n{}", self.code, self.stdout, self.stderr);
        self
    }

    /// Everything that it wrote.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl<'a> Launch<'a> {
    pub(super) fn new(home: &'a Home) -> Self {
        let mut environment = BTreeMap::from([
            ("HOME".to_owned(), home.path().display().to_string()),
            ("GREENROOM_DATA_DIR".to_owned(), home.data().display().to_string()),
            ("GREENROOM_CONFIG_DIR".to_owned(), home.config().display().to_string()),
            ("GREENROOM_HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()),
            ("NO_COLOR".to_owned(), "1".to_owned()),
            // Any key will do for the model server of the tests.
            ("OPENAI_API_KEY".to_owned(), "kit-key".to_owned()),
        ]);
        #[expect(clippy::disallowed_methods, reason = "the child needs the tests' own search path")]
        if let Ok(path) = std::env::var("PATH") {
            environment.insert("PATH".to_owned(), path);
        }
        Self { home, environment, agents: None, shell: None, verb: vec!["up".to_owned()], data: home.data() }
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Sets several variables.
    pub fn envs(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables);
        self
    }

    /// How many agents are awaited at the start, where not every file makes one.
    pub fn agents(mut self, number: usize) -> Self {
        self.agents = Some(number);
        self
    }

    /// Starts a node by this verb instead of `up`.
    pub fn verb(mut self, verb: &[&str]) -> Self {
        self.verb = verb.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Keeps the node's data in this folder instead of the home's own: several nodes can share a home.
    pub fn data(mut self, folder: PathBuf) -> Self {
        self.environment.insert("GREENROOM_DATA_DIR".to_owned(), folder.display().to_string());
        self.data = folder;
        self
    }

    /// Runs this in a shell first, in the same process: limits, for one.
    pub fn after(mut self, shell: &str) -> Self {
        self.shell = Some(shell.to_owned());
        self
    }

    /// Starts the node and waits until it takes work in and every agent is past its start.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub async fn start(self) -> Node {
        let agents = self.agents.unwrap_or_else(|| self.home.agent_files());
        let node = self.begin().await;
        wait::seen("every agent of the node to be past its start", START_LIMIT, async || {
            let listed = node.get("/v1/agents").await;
            let items = listed.json["items"].as_array().cloned().unwrap_or_default();
            let settled = items.iter().filter(|agent| agent["status"] != "starting").count();
            if settled >= agents { Ok(()) } else { Err(format!("{settled} of {agents}: {}", listed.text)) }
        })
        .await;
        node
    }

    /// Starts the node and waits only until it answers that it is ready.
    ///
    /// # Panics
    /// When it ends instead, or takes too long.
    pub async fn begin(self) -> Node {
        let address_file = self.data.join("http.addr");
        // One that a killed node left behind would send us to nobody, or to another.
        fs::remove_file(&address_file).ok();
        let home = self.home.path().to_owned();
        let verb = self.verb.clone();
        let mut process = self.spawn(&verb.iter().map(String::as_str).collect::<Vec<_>>());
        let started = process.started;
        let address = wait::seen("the node to write its address", START_LIMIT, async || {
            if let Some(code) = process.ended() {
                panic!("the node ended with {code} at its start:\n{}", process.output());
            }
            read_address(&address_file)
        })
        .await;
        let node = Node::new(address, home, process);
        wait::seen("the node to be ready", START_LIMIT.saturating_sub(started.elapsed()), async || {
            match node.try_get("/health/ready").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.text),
                Err(error) => Err(format!("{error:?}")),
            }
        })
        .await;
        node
    }

    /// Runs a command of the binary to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn run(self, arguments: &[&str]) -> Finished {
        let mut process = self.spawn(arguments);
        let status = process.exit(COMMAND_LIMIT).await;
        Finished { code: status.code(), stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Starts the binary with these arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(self, arguments: &[&str]) -> Process {
        let (stdout, stderr) = self.home.next_outputs();
        let mut command = match &self.shell {
            None => Command::new(greenroom()),
            Some(shell) => {
                let mut command = Command::new("sh");
                command.args([OsString::from("-c"), format!("{shell}; exec \"$0\" \"$@\"").into()]).arg(greenroom());
                command
            }
        };
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .kill_on_drop(true);
        match command.spawn() {
            Ok(child) => Process::new(child, stdout, stderr, Instant::now()),
            Err(error) => panic!("greenroom cannot be started: {error}"),
        }
    }
}

fn read_address(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let address = text.trim();
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("{} holds {address:?}", file.display())),
    }
}

fn create(file: &Path) -> File {
    match File::create(file) {
        Ok(file) => file,
        Err(error) => panic!("{}: {error}", file.display()),
    }
}

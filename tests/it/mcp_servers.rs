//! Tool servers that nobody here wrote, from npm and PyPI, over both transports: they are listed and called, and when one
//! is killed in the middle of a run, it comes back and the run goes on.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use kit::{
    model::{Gate, ModelServer, Reply},
    node::{Home, Node},
    servers::{descendants, free_port, reference_server},
    wait,
};

use crate::cast::agent;

/// Node and Python take their time to start on a busy machine.
const PATIENCE: Duration = wait::PATIENCE;

#[tokio::test]
async fn reference_servers_are_listed_and_called() {
    let (model, home, remote) = (ModelServer::start().await, Home::new(), Remote::start().await);
    let place = Place::new(&home);
    home.agent("handy", &agent("handy", &model, &format!("tools:\n{}{}", place.tools(), remote.tool())));
    let (note, repository) = (place.note.clone(), place.repository.clone());
    model.rule(move |asked| match asked.turn() {
        0 => Reply::tools(&[
            ("echo", json!({"message": "from npm"})),
            ("get-sum", json!({"a": 19, "b": 23})),
            ("get-structured-content", json!({"location": "Chicago"})),
            ("get-tiny-image", json!({})),
            ("read_text_file", json!({"path": note})),
            (
                "create_entities",
                json!({"entities": [{"name": "Ada", "entityType": "person", "observations": ["kind"]}]}),
            ),
            ("get_current_time", json!({"timezone": "Asia/Tokyo"})),
            ("git_status", json!({"repo_path": repository})),
            ("t_127_0_0_1_echo", json!({"message": "over HTTP"})),
        ]),
        _ => Reply::text(asked.tool_results().join("\n---\n")),
    });
    let node = home.launch().env("NOTES", place.notes.display().to_string()).start().await;
    node.agent_is("handy", &["idle"], PATIENCE).await;

    let id = node.submit("handy", "use them all").await;
    let execution = node.execution_is(&id, &["succeeded", "failed", "dead"], PATIENCE).await;
    assert_eq!(execution["status"], "succeeded", "{execution}");
    let offered = model.asked()[0].tools();
    for tool in ["trigger-long-running-operation", "write_file", "search_nodes", "convert_time", "git_commit"] {
        assert!(offered.iter().any(|name| name == tool), "{tool} is not offered: {offered:?}");
    }
    let told = execution["output"].as_str().unwrap_or_default();
    for expected in [
        "Echo: from npm",
        "42",
        "\"temperature\"",
        "[a picture (image/png)]",
        "left by a person",
        "Ada",
        "\"Asia/Tokyo\"",
        "On branch",
        "Echo: over HTTP",
    ] {
        assert!(told.contains(expected), "no tool said {expected:?}:\n{told}");
    }
    let wrong = steps(&execution).into_iter().filter(|(_, status)| status != "settled");
    assert_eq!(wrong.collect::<Vec<_>>(), []);
    assert!(
        std::fs::read_to_string(place.notes).is_ok_and(|notes| notes.contains("Ada")),
        "the memory was kept in its file"
    );
    for server in SERVERS.into_iter().chain(["127_0_0_1"]) {
        assert_eq!(seat(&node, "handy", server).await["status"], "running", "{server}");
    }
    node.stop().await;
}

#[tokio::test]
async fn servers_that_are_killed_in_mid_run_come_back_and_the_run_goes_on() {
    let (model, home, mut remote) = (ModelServer::start().await, Home::new(), Remote::start().await);
    let place = Place::new(&home);
    home.agent("steady", &agent("steady", &model, &format!("tools:\n{}{}", place.tools(), remote.tool())));
    let (note, repository) = (place.note.clone(), place.repository.clone());
    let all = move || {
        Reply::tools(&[
            ("get_current_time", json!({"timezone": "Asia/Tokyo"})),
            ("echo", json!({"message": "from npm"})),
            ("read_text_file", json!({"path": note})),
            ("read_graph", json!({})),
            ("git_status", json!({"repo_path": repository})),
            ("t_127_0_0_1_echo", json!({"message": "over HTTP"})),
        ])
    };
    let gate = Gate::closed();
    let held = gate.clone();
    model.rule(move |asked| match asked.turn() {
        0 => all(),
        1 => all().held_by(&held),
        _ => Reply::text(asked.tool_results().join("\n")),
    });
    let node = home.launch().env("NOTES", place.notes.display().to_string()).start().await;
    node.agent_is("steady", &["idle"], PATIENCE).await;
    let id = node.submit("steady", "use them twice").await;
    model.wait_for_calls(2).await;

    for server in SERVERS {
        kill(&node, &format!("mcp-server-{server}"));
    }
    remote.restart().await;
    for server in SERVERS {
        back(&node, "steady", server).await;
    }
    gate.open();
    let execution = node.execution_is(&id, &["succeeded", "failed", "dead"], PATIENCE).await;
    assert_eq!(execution["status"], "succeeded", "{execution}");
    let told = execution["output"].as_str().unwrap_or_default();
    for said in ["\"Asia/Tokyo\"", "Echo: from npm", "left by a person", "\"entities\"", "On branch", "Echo: over HTTP"]
    {
        assert!(told.matches(said).count() >= 2, "{said} was said twice:\n{told}");
    }
    let wrong = steps(&execution).into_iter().filter(|(_, status)| status != "settled");
    assert_eq!(wrong.collect::<Vec<_>>(), [], "each call of both rounds was answered");
    assert_eq!((&execution["attempt"], &node.agent("steady").await["restarts"]), (&json!(1), &json!(0)));
    node.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_during_a_call_costs_the_call_and_not_the_agent() {
    let (model, home) = (ModelServer::start().await, Home::new());
    let everything = stdio("everything", &["stdio"], "effect: idempotent, ");
    // It tells of its progress every second: that is what keeps a call alive which takes longer than it may be silent.
    let limits = "limits: {tool_timeout: 5s}";
    home.agent("careful", &agent("careful", &model, &format!("{limits}\ntools:\n{everything}")));
    let gate = Gate::closed();
    let held = gate.clone();
    model.rule(move |asked| match asked.turn() {
        0 => Reply::tool("trigger-long-running-operation", json!({"duration": 7, "steps": 7})),
        1 => Reply::tool("trigger-long-running-operation", json!({"duration": 3600, "steps": 3600})),
        2 => Reply::tool("echo", json!({"message": "it is back"})).held_by(&held),
        _ => Reply::text(asked.tool_results().join("\n")),
    });
    let node = home.launch().start().await;
    node.agent_is("careful", &["idle"], PATIENCE).await;
    let id = node.submit("careful", "work long").await;
    model.wait_for_calls(2).await;
    wait::until("the second call to be under way", PATIENCE, async || steps(&node.execution(&id).await).len() == 4)
        .await;

    kill(&node, "mcp-server-everything");
    back(&node, "careful", "everything").await;
    gate.open();
    let execution = node.execution_is(&id, &["succeeded", "failed", "dead"], PATIENCE).await;
    assert_eq!(execution["status"], "succeeded", "{execution}");
    let told = execution["output"].as_str().unwrap_or_default();
    assert!(told.contains("Long running operation completed. Duration: 7 seconds"), "{told}");
    assert!(told.contains("is down") && told.contains("Echo: it is back"), "{told}");
    assert_eq!(node.agent("careful").await["restarts"], 0);
    node.stop().await;
}

/// The programs, by the ends of their names.
const SERVERS: [&str; 5] = ["everything", "filesystem", "memory", "time", "git"];

/// What they work on.
struct Place {
    note: PathBuf,
    repository: PathBuf,
    notes: PathBuf,
}

impl Place {
    fn new(home: &Home) -> Self {
        let files = home.path().join("files");
        let note = files.join("note.txt");
        std::fs::create_dir_all(&files).and_then(|()| std::fs::write(&note, "left by a person")).ok();
        let repository = home.path().join("repository");
        run("git", &["init", "--quiet", &repository.display().to_string()]);
        Self { note, repository, notes: home.path().join("notes.json") }
    }

    /// A line of `tools:` for each program.
    fn tools(&self) -> String {
        let files = self.note.parent().unwrap_or(&self.note).display().to_string();
        [
            stdio("everything", &["stdio"], ""),
            stdio("filesystem", &[&files], ""),
            stdio("memory", &[], "env_from: {MEMORY_FILE_PATH: NOTES}, "),
            stdio("time", &["--local-timezone", "UTC"], ""),
            stdio("git", &["--repository", &self.repository.display().to_string()], ""),
        ]
        .concat()
    }
}

/// The line of an agent's `tools:` for a program, with more keys before its command.
fn stdio(name: &str, args: &[&str], more: &str) -> String {
    let program = reference_server(&format!("mcp-server-{name}"));
    format!("  - mcp: {{{more}command: {}, args: {}, start_timeout: 60s}}\n", json!(program), json!(args))
}

/// `server-everything` over streamable HTTP, on a port that it keeps. Killed when it is dropped.
struct Remote {
    port: u16,
    server: Child,
}

impl Remote {
    async fn start() -> Self {
        let port = free_port();
        Self { port, server: Self::launch(port).await }
    }

    /// Kills it and starts another, which knows nothing of the sessions of the first.
    async fn restart(&mut self) {
        self.end();
        self.server = Self::launch(self.port).await;
    }

    fn tool(&self) -> String {
        format!("  - mcp: {{url: \"http://127.0.0.1:{}/mcp\", start_timeout: 60s}}\n", self.port)
    }

    async fn launch(port: u16) -> Child {
        let mut command = Command::new(reference_server("mcp-server-everything"));
        command.arg("streamableHttp").env("PORT", port.to_string()).stdin(Stdio::null());
        let server = match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(server) => server,
            Err(error) => panic!("server-everything cannot be started: {error}"),
        };
        wait::until("server-everything to listen", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        server
    }

    fn end(&mut self) {
        self.server.kill().and_then(|()| self.server.wait()).ok();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills (SIGKILL) the node's tool server of this name.
fn kill(node: &Node, program: &str) {
    let found = node.process.pid().map(|root| descendants(root, program)).unwrap_or_default();
    assert!(!found.is_empty(), "the node has no {program}");
    for pid in found {
        run("kill", &["-9", &pid.to_string()]);
    }
}

/// Waits until a server was started again and is up.
async fn back(node: &Node, agent: &str, server: &str) {
    wait::seen(&format!("{server} to be back"), PATIENCE, async || {
        let place = seat(node, agent, server).await;
        let is_back = place["status"] == "running" && place["restarts"].as_u64().is_some_and(|restarts| restarts > 0);
        if is_back { Ok(()) } else { Err(place.to_string()) }
    })
    .await;
}

/// A server's place in the tree.
async fn seat(node: &Node, agent: &str, server: &str) -> Value {
    let id = format!("agents/{agent}/mcp/{server}");
    node.places(|place| place["id"] == id.as_str()).await.into_iter().next().unwrap_or_default()
}

/// The names and states of an execution's steps.
fn steps(execution: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let steps = execution["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    steps.iter().map(|step| (text(&step["name"]), text(&step["status"]))).collect()
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(Path::new("/")).status();
    assert!(done.is_ok_and(|status| status.success()), "{program} {arguments:?} failed");
}

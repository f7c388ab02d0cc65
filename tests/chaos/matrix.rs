//! Kills a node at each place of a subject, starts it again, and looks at what became of the work.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use greenroom_contract::TraceId;
use serde_json::{Value, json};

use super::{
    cast::{self, CLERK, LISTENER},
    cell::{Again, Cell, Subject},
    evidence::{self, Workflow},
    invariants::{Evidence, Summary, judge, queues_are_empty},
};
use crate::{
    http::{self, Answer},
    model::ModelServer,
    node::{Home, Launch, Node, Process},
    slack::Slack,
    wait,
};

/// A kill, a start and the rest of the work; on a very busy machine.
const SOON: Duration = wait::PATIENCE;
/// The signal of `kill -9`.
const SIGKILL: i32 = 9;

/// What a chain of kills came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The cells that were played.
    pub cells: usize,
    /// The kills.
    pub kills: usize,
    /// What became of the work.
    pub summary: Summary,
    /// From the start of the process after the kill until the work was over, each.
    pub resumed: Vec<Duration>,
}

/// On what the nodes stand, and who goes on with the work.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// Variables of every node: where its servers are. Without them it is embedded.
    pub environment: Vec<(String, String)>,
    /// Whether another node goes on with the work of a killed one, and not the same again.
    pub others_take_over: bool,
}

/// Plays every cell of a subject, one after the other in one home.
///
/// # Panics
/// When a promise is broken, with the cell.
pub async fn kill_everywhere(subject: Subject, setting: &Setting) -> Report {
    let stage = Stage::build(subject, setting).await;
    let mut played = Vec::new();
    let mut report = Report { cells: 0, kills: 0, summary: Summary::default(), resumed: Vec::new() };
    let mut node = stage.launch().start().await;
    for cell in subject.cells() {
        let run = Run { cell, number: played.len(), trace: TraceId::new().to_string() };
        let resumed;
        (node, resumed) = stage.play(&run, node).await;
        report.cells += 1;
        report.kills += cell.kills().len();
        report.resumed.push(resumed);
        played.push(run);
    }
    report.summary = stage.close(node, &played).await;
    report
}

/// A cell as it was played.
struct Run {
    cell: Cell,
    number: usize,
    trace: String,
}

impl Run {
    /// What the clerk is asked. No question is a part of another.
    fn question(&self) -> String {
        format!("cell-{:03}", self.number)
    }

    /// How many events the listener must hear of it.
    fn heard(&self) -> usize {
        if self.cell.subject == Subject::OutgoingEvent { 2 } else { 1 }
    }
}

struct Stage {
    home: Home,
    model: ModelServer,
    slack: Slack,
    environment: Vec<(String, String)>,
    others_take_over: bool,
    launches: AtomicU32,
}

impl Stage {
    async fn build(subject: Subject, setting: &Setting) -> Self {
        let (home, model, slack) = (Home::new(), ModelServer::start().await, Slack::start().await);
        cast::enter(&home, &model, subject);
        let environment = setting.environment.iter().cloned().chain(slack.environment()).collect();
        let (others_take_over, launches) = (setting.others_take_over, AtomicU32::new(0));
        let stage = Self { home, model, slack, environment, others_take_over, launches };
        stage.arm("");
        stage
    }

    fn launch(&self) -> Launch<'_> {
        let file = self.crash_file().display().to_string();
        let launch = self.launches.fetch_add(1, Ordering::Relaxed);
        let node = if self.others_take_over { format!("kit-{launch}") } else { "kit".to_owned() };
        let launch = self.home.launch().envs(self.environment.clone());
        launch.env("GREENROOM_CRASH_FILE", file).env("GREENROOM_NODE", node)
    }

    fn crash_file(&self) -> PathBuf {
        self.home.path().join("crash-at")
    }

    /// Says where the node dies next. Renamed over, so that a node never reads a half.
    fn arm(&self, line: &str) {
        let draft = self.home.path().join("crash-at.draft");
        let written = fs::write(&draft, line).and_then(|()| fs::rename(&draft, self.crash_file()));
        assert!(written.is_ok(), "the crash file cannot be written: {written:?}");
    }

    /// Gives the clerk its work, kills the node at the cell's place, starts another, and waits until the work is over.
    /// Returns that node, and how long the rest took from its start.
    async fn play(&self, run: &Run, mut node: Node) -> (Node, Duration) {
        let cell = run.cell;
        let kills = cell.kills();
        self.arm(&kills[0]);
        // The node may die before it answers. Whoever got no answer asks again, below.
        self.ask(&node, run).await.ok();
        dies_by_itself(&mut node.process, cell, &kills[0]).await;
        for kill in &kills[1..] {
            self.arm(kill);
            dies_by_itself(&mut self.launch().spawn(&["up"]), cell, kill).await;
        }
        self.arm("");
        let node = self.launch().begin().await;
        let started: Instant = node.process.started;
        match self.ask(&node, run).await {
            Ok(answer) => assert!(matches!(answer.status, 200 | 202), "{cell}: asked again: {}", answer.text),
            Err(error) => panic!("{cell}: the node does not answer after its restart: {error:?}"),
        }
        let workflow = wait::seen(&format!("{cell}: the work to be over"), SOON, async || {
            let answer = node.get(&path_of(&run.trace)).await;
            let workflow = Workflow(answer.json);
            if workflow.is_over(run.heard()) { Ok(workflow) } else { Err(answer.text) }
        })
        .await;
        let resumed = started.elapsed();
        self.check(run, &workflow);
        if cell.subject == Subject::Continuous {
            self.check_conversation(run);
        }
        (node, resumed)
    }

    /// Asks as a caller does who may have to ask again: the same request is the same work.
    async fn ask(&self, node: &Node, run: &Run) -> Result<Answer, reqwest::Error> {
        let question = run.question();
        let request = if run.cell.subject == Subject::Reply {
            let (ts, event) = (format!("1700000000.{:06}", run.number), format!("Ev{}", run.number));
            self.slack.mention_to(node, &question, &ts, &event, &run.trace)
        } else {
            let request = node.request("POST", &format!("/v1/agents/{CLERK}/invoke"));
            request
                .header("x-trace-id", &run.trace)
                .header("idempotency-key", &run.trace)
                .json(&json!({"input": question}))
        };
        http::try_send(request).await
    }

    /// What is known of this cell exactly; the rest is judged for all together.
    fn check(&self, run: &Run, workflow: &Workflow) {
        let (cell, told) = (run.cell, &workflow.0);
        let Some(work) = workflow.work() else { panic!("{cell}: nothing was done: {told}") };
        assert_eq!(work["attempt"], 1, "{cell}: a crash is not a failure: {told}");
        let steps = work["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let unknown = cell.is_unknown().unwrap_or(work["error"]["code"] == "outcome_unknown");
        if unknown {
            assert_eq!(
                (&work["status"], &work["error"]["code"]),
                (&json!("failed"), &json!("outcome_unknown")),
                "{cell}: {told}"
            );
            assert_eq!((steps.len(), &steps[1]["status"]), (2, &json!("unknown")), "{cell}: {told}");
            assert_eq!(told["dead_letters"].as_array().map(Vec::len), Some(1), "{cell}: a person is to look: {told}");
        } else {
            assert_eq!((&work["status"], steps.len()), (&json!("succeeded"), 3), "{cell}: {told}");
            assert!(steps.iter().all(|step| step["status"] == "settled"), "{cell}: {told}");
            assert!(work["output"].as_str().is_some_and(|output| output.contains(&run.question())), "{cell}: {told}");
        }
        self.check_calls(run, work, steps);
    }

    fn check_calls(&self, run: &Run, work: &Value, steps: &[Value]) {
        let cell = run.cell;
        let (model, tools) = (evidence::asked(&self.model), evidence::called(&self.home));
        let mut beyond_one = 0;
        for (seq, step) in (0..).zip(steps).filter(|(_, step)| step["name"] != "emit_event") {
            let key = evidence::key(work, step);
            let calls = model.get(&key).or(tools.get(&key)).copied().unwrap_or_default();
            beyond_one += calls.saturating_sub(1);
            let right = match cell.again() {
                _ if step["status"] == "unknown" => calls <= 1,
                Again::Call(again) if again == seq => calls == 2,
                Again::PerhapsCall(again) if again == seq => calls == 1 || calls == 2,
                Again::PerhapsOne => calls == 1 || calls == 2,
                _ => calls == 1,
            };
            assert!(right, "{cell}: step {seq} ({}) was called {calls} times", step["name"]);
        }
        assert!(beyond_one <= 1, "{cell}: {beyond_one} calls were made again by one kill");
    }

    /// I5: the conversation that the model was shown last has every earlier turn, once and in order.
    fn check_conversation(&self, run: &Run) {
        let Some(last) = self.model.asked().pop() else { panic!("{}: the model was not asked", run.cell) };
        let questions = cast::questions(&last);
        let first = (run.number + 1).saturating_sub(questions.len());
        let wanted: Vec<String> = (first..=run.number).map(|number| format!("cell-{number:03}")).collect();
        assert_eq!(questions, wanted, "{}: I5, the conversation", run.cell);
        assert!(questions.len() == run.number + 1 || questions.len() > 10, "{}: I5, turns are missing", run.cell);
    }

    /// Ends the last node in order, starts another once more, and judges everything.
    async fn close(&self, node: Node, played: &[Run]) -> Summary {
        assert!(node.stop().await.success(), "the last node ends in order");
        let node = self.launch().start().await;
        let mut workflows = Vec::new();
        for run in played {
            workflows.push(Workflow(node.get(&path_of(&run.trace)).await.expect(200).json));
        }
        wait::until("I9, the queues to be empty", SOON, async || {
            queues_are_empty(&node.get("/v1/queues").await.expect(200).json)
        })
        .await;
        let mut listed = node.executions(CLERK).await;
        listed.extend(node.executions(LISTENER).await);
        let evidence = Evidence {
            accepted: played.iter().map(|run| (run.trace.clone(), run.heard())).collect(),
            workflows,
            listed,
            model: evidence::asked(&self.model),
            tools: evidence::called(&self.home),
        };
        for (run, workflow) in played.iter().zip(&evidence.workflows) {
            self.check(run, workflow);
            let question = run.question();
            let replies = self.slack.received().iter().filter(|reply| reply.text().contains(&question)).count();
            assert!(run.cell.replies().contains(&replies), "{}: the person got {replies} answers", run.cell);
        }
        let (summary, breaches) = judge(&evidence);
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
        summary
    }
}

fn path_of(trace: &str) -> String {
    format!("/v1/traces/{trace}")
}

async fn dies_by_itself(process: &mut Process, cell: Cell, kill: &str) {
    let status = process.exit(SOON).await;
    assert_eq!(
        status.signal(),
        Some(SIGKILL),
        "{cell}: by {kill:?}, the node ended with {status}:\n{}",
        process.output()
    );
}

//! The verbs and their options.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use greenroom_config::Roles;

pub(super) use super::args_plans::{Import, PlanTask, Plans};

/// A runtime for LLM agents in which every agent is a supervised actor with its own mailbox.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

const EXAMPLES: &str = "Examples:
  greenroom up                                       everything in one process
  greenroom invoke customer-support \"what time is it?\"
  greenroom tree                                     who is up, and why not
  greenroom logs --trace 4bf92f3577b34da6a3ce929d0e0e4736

Environment variables are listed by `greenroom doctor --variables`.";

/// Options of every verb.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Answer as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The node to ask, for example http://127.0.0.1:8080; by default the one on this machine.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) server: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Start a node: everything in one process, no server needed.
    Up {
        /// End at once when standard input does: for who starts nodes and may be killed.
        #[arg(long, hide = true)]
        tethered: bool,
    },
    /// Start a node of a cluster, with some of the roles.
    Node {
        /// What it does, with commas: orchestrator, scheduler, gateway, autonomous, collaborative, continuous, or all
        /// [default: GREENROOM_ROLES or all].
        #[arg(long, value_name = "ROLES")]
        role: Option<Roles>,
    },
    /// The nodes of the cluster.
    Nodes,
    /// Bring the database up to date, and end. A node does it by itself when it starts.
    Migrate,
    /// Check the agents' files and the environment, without starting anything.
    Check {
        /// The configuration folder [default: GREENROOM_CONFIG_DIR or config].
        folder: Option<PathBuf>,
    },
    /// Give an agent work and wait for its answer.
    Invoke(Invoke),
    /// The supervision tree.
    Tree {
        /// Show it again with every change, and every second, until interrupted.
        #[arg(long, short)]
        watch: bool,
        /// Draw it as a Mermaid diagram.
        #[arg(long)]
        mermaid: bool,
        /// Only these statuses, separated by commas.
        #[arg(long)]
        status: Option<String>,
        /// Only these kinds, separated by commas: agent, instance, execution, service and the like.
        #[arg(long)]
        kind: Option<String>,
        /// Only so many levels under each node.
        #[arg(long)]
        depth: Option<u32>,
        /// Only places whose name contains this.
        #[arg(short)]
        q: Option<String>,
    },
    /// The agents in a table.
    Ps {
        /// Only agents in this status.
        #[arg(long)]
        status: Option<String>,
    },
    /// The log of one workflow, or the newest lines.
    Logs {
        /// The workflow's trace id, or its first digits.
        #[arg(long)]
        trace: Option<String>,
        /// Only this agent's lines.
        #[arg(long)]
        agent: Option<String>,
        /// At most so many lines, the newest.
        #[arg(long, default_value_t = 200)]
        tail: usize,
    },
    /// Executions, newest first, or one with its journal.
    Executions {
        /// One execution.
        id: Option<String>,
        /// Only of this agent.
        #[arg(long)]
        agent: Option<String>,
        /// Only in this status.
        #[arg(long)]
        status: Option<String>,
    },
    /// The questions that wait for a person; with an id, answer one.
    Answer {
        /// The question's id.
        #[arg(requires = "answer")]
        id: Option<String>,
        /// The answer: a text, yes or no, one of the options, or JSON.
        answer: Option<String>,
        /// Who answers.
        #[arg(long, default_value = "operator")]
        by: String,
        /// Only questions of this agent.
        #[arg(long, conflicts_with = "id")]
        agent: Option<String>,
    },
    /// Runs of plans, newest first; or start, show, approve, cancel, retry one.
    Plans {
        /// What to do.
        #[command(subcommand)]
        verb: Option<Plans>,
    },
    /// What agents spent on models, today (UTC) or since a moment.
    Usage {
        /// From when on, for example 2026-11-01T00:00:00Z.
        #[arg(long)]
        since: Option<String>,
        /// Only this agent.
        #[arg(long)]
        agent: Option<String>,
    },
    /// What could not be done: list, show, replay, purge.
    #[command(subcommand)]
    Dlq(Dlq),
    /// When agents wake by themselves, and what came of it; or show, trigger, pause, resume one.
    Schedules {
        /// What to do with one.
        #[command(subcommand)]
        verb: Option<Schedules>,
    },
    /// What an agent knows of its conversations: show it, set it back, move it.
    #[command(subcommand)]
    State(State),
    /// Start an agent afresh.
    Restart {
        /// The agent.
        agent: String,
    },
    /// Hold an agent back; its messages wait.
    Pause {
        /// The agent.
        agent: String,
    },
    /// Let a paused agent go on.
    Resume {
        /// The agent.
        agent: String,
    },
    /// Write the sample agents, their schema and a .env.example into a folder.
    Init {
        /// The folder [default: the present one].
        folder: Option<PathBuf>,
    },
    /// Look for what would keep a node from working, with the remedy for each.
    Doctor {
        /// List every environment variable instead.
        #[arg(long)]
        variables: bool,
    },
    /// Print the JSON Schema of agents' files, or of `providers.yaml`.
    Schema {
        /// Of which.
        #[arg(default_value = "agent", value_parser = ["agent", "providers"])]
        of: String,
    },
    /// Prove on this machine, and on your own servers, that `kill -9` loses nothing and pays for nothing twice.
    Selftest(super::selftest::Selftest),
    /// A tool server of `selftest`.
    #[command(hide = true)]
    SelftestTool {
        /// The file in which each call is written down.
        ledger: PathBuf,
    },
    /// Succeed if the node is ready (for containers).
    Healthcheck,
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `greenroom invoke`.
#[derive(Debug, Args)]
pub(super) struct Invoke {
    /// The agent.
    pub(super) agent: String,
    /// What it is asked: a text, or a JSON object; `-` reads standard input.
    pub(super) input: String,
    /// How long to wait for the answer, for example 30s.
    #[arg(long, default_value = "120s")]
    pub(super) wait: String,
    /// Do not wait: print the execution's id.
    #[arg(long, short)]
    pub(super) detach: bool,
    /// low, normal, high or critical.
    #[arg(long)]
    pub(super) priority: Option<String>,
    /// Which conversation of a continuous agent.
    #[arg(long)]
    pub(super) conversation: Option<String>,
    /// The same key again returns the first answer.
    #[arg(long)]
    pub(super) idempotency_key: Option<String>,
}

/// `greenroom schedules`.
#[derive(Debug, Subcommand)]
pub(super) enum Schedules {
    /// One schedule: its next ten firings, and its last ones.
    Show {
        /// Whose.
        agent: String,
    },
    /// Fire it now.
    Trigger {
        /// Whose.
        agent: String,
    },
    /// Hold it: it fires no more.
    Pause {
        /// Whose.
        agent: String,
    },
    /// Let it go on, from now.
    Resume {
        /// Whose.
        agent: String,
    },
}

/// `greenroom state`.
#[derive(Debug, Subcommand)]
pub(super) enum State {
    /// The state of a conversation, with its newest messages.
    Show {
        /// The agent.
        agent: String,
        /// Which conversation; without it the agent's own.
        #[arg(long)]
        conversation: Option<String>,
        /// How many messages.
        #[arg(long, default_value_t = 20)]
        messages: u32,
    },
    /// Begin a conversation anew: its messages, summary and variables are deleted.
    Reset {
        /// The agent.
        agent: String,
        #[command(flatten)]
        of: OfConversation,
        /// Forget what it keeps in mind, too.
        #[arg(long)]
        memories: bool,
        /// Only if the state is at this version still.
        #[arg(long)]
        version: Option<u64>,
    },
    /// Write a conversation, and what the agent keeps in mind, as a document.
    Export {
        /// The agent.
        agent: String,
        #[command(flatten)]
        of: OfConversation,
        /// The file [default: standard output].
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Take a document in, also another agent's.
    Import {
        /// The agent.
        agent: String,
        /// The file; `-` reads standard input.
        file: PathBuf,
        /// In place of what is there.
        #[arg(long)]
        replace: bool,
    },
}

/// Which conversation.
#[derive(Debug, Args)]
pub(super) struct OfConversation {
    /// Which conversation; without it the agent's own.
    #[arg(long)]
    pub(super) conversation: Option<String>,
    /// All its conversations.
    #[arg(long, conflicts_with = "conversation")]
    pub(super) all: bool,
}

/// `greenroom dlq`.
#[derive(Debug, Subcommand)]
pub(super) enum Dlq {
    /// Dead letters, newest first.
    List {
        /// Only of this agent.
        #[arg(long)]
        agent: Option<String>,
        /// Also those that were sent again.
        #[arg(long)]
        replayed: bool,
    },
    /// One dead letter, whole.
    Show {
        /// Its number.
        id: i64,
    },
    /// Send dead letters again, to where they came from.
    Replay {
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Delete dead letters.
    Purge {
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

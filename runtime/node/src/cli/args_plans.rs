//! The options of `greenroom plans`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `greenroom plans`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Plans {
    /// Runs, newest first.
    List {
        /// Only of this coordinator.
        #[arg(long)]
        agent: Option<String>,
        /// Only in this status.
        #[arg(long)]
        status: Option<String>,
    },
    /// One run as a timeline, with the questions on which it waits.
    Show {
        /// Its id.
        id: String,
    },
    /// Give a coordinator a task and wait for the result.
    Start(PlanTask),
    /// Allow the plan on which a run waits.
    Approve {
        /// The run's id.
        id: String,
        /// Do not allow it: the run ends.
        #[arg(long)]
        no: bool,
        /// Only if it is this plan, by its digest.
        #[arg(long)]
        digest: Option<String>,
        /// Who allows it.
        #[arg(long, default_value = "operator")]
        by: String,
    },
    /// End a run, and whoever works for it.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Begin a run that goes on from one that has ended; what needs not be done anew is kept.
    Retry {
        /// The earlier run's id.
        id: String,
        /// Where it begins anew: a step's output, or its place from 0 [default: whatever has no output].
        #[arg(long, value_name = "STEP")]
        from: Option<String>,
    },
    /// Have a plan of the Portia SDK carried out.
    Import(Import),
}

/// `greenroom plans start`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlanTask {
    /// The coordinator.
    pub(in crate::cli) agent: String,
    /// What is wanted.
    pub(in crate::cli) task: String,
    /// A value of the plan's inputs, as NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(in crate::cli) input: Vec<String>,
    /// The plan to follow: a file of YAML or JSON with `steps`.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) plan: Option<PathBuf>,
    /// Show the plan, and wait until somebody allows it.
    #[arg(long)]
    pub(in crate::cli) approve: bool,
    /// How long to wait for the result, for example 30s.
    #[arg(long, default_value = "120s")]
    pub(in crate::cli) wait: String,
    /// Do not wait: print the run's id.
    #[arg(long, short)]
    pub(in crate::cli) detach: bool,
}

/// `greenroom plans import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The plan's JSON, as the Portia SDK wrote it.
    pub(in crate::cli) plan: PathBuf,
    /// A run of it: steps that it has finished are kept.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) run: Option<PathBuf>,
    /// The coordinator.
    #[arg(long)]
    pub(in crate::cli) agent: String,
    /// The agent that does the steps: Portia's plans name none.
    #[arg(long, value_name = "AGENT")]
    pub(in crate::cli) steps_by: String,
    /// Print the task instead of starting it.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

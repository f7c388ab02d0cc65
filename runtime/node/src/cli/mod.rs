//! What a person types. Answers go to standard output, everything else to standard error; `--json` gives answers that
//! scripts can rely on. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 configuration invalid, 4 not found, 5 no node
//! answers, 6 the wait is over, 7 the agent's execution failed.

mod answer;
mod args;
mod args_plans;
mod check;
mod client;
mod dead_letters;
mod doctor;
mod executions;
mod exit;
mod init;
mod invoke;
mod logs;
mod migrate;
mod nodes;
mod output;
mod plans;
mod run;
mod schedules;
mod selftest;
mod servers;
mod show;
mod state;
mod timeline;
mod up;
mod usage;
mod watch;

pub use run::main;

/// The file in the data folder that says where the node's HTTP door is.
pub const ADDRESS_FILE: &str = "http.addr";

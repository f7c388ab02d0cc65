//! From the command line to a verb, and from its end to an exit code.

use std::{path::Path, process::ExitCode};

use clap::{CommandFactory, Parser};
use greenroom_config::{Environment, NodeConfig, Roles};

use super::{
    answer,
    args::{Cli, Verb},
    check,
    client::Client,
    dead_letters, doctor, executions,
    exit::Exit,
    init, invoke, logs, migrate, nodes, output, plans, schedules, selftest, show, state, up, usage,
};

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(exit) => {
            if !exit.message.is_empty() {
                output::note(format_args!("error: {}", exit.message));
            }
            ExitCode::from(exit.code)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Exit> {
    let env = || Environment::read(Path::new("."));
    let json = cli.global.json;
    let ask = || -> Result<Client, Exit> {
        let env = env()?;
        Client::new(cli.global.server.as_deref(), &NodeConfig::from_env(&env)?)
    };
    match cli.verb {
        Verb::Up { tethered } => {
            if tethered {
                up::end_with_stdin()?;
            }
            return up::up(env()?, Some(Roles::all()));
        }
        Verb::Node { role } => return up::up(env()?, role),
        Verb::Nodes => nodes::nodes(&ask()?, json)?,
        Verb::Migrate => migrate::migrate(&NodeConfig::from_env(&env()?)?)?,
        Verb::Check { folder } => check::check(&env()?, folder, json)?,
        Verb::Invoke(invoke) => invoke::invoke(&ask()?, invoke, json)?,
        Verb::Tree { watch, mermaid, status, kind, depth, q } => {
            show::tree(&ask()?, &show::TreeView { watch, mermaid, status, kind, depth, q, json })?
        }
        Verb::Ps { status } => show::ps(&ask()?, status.as_deref(), json)?,
        Verb::Logs { trace, agent, tail } => logs::logs(&NodeConfig::from_env(&env()?)?, trace, agent, tail, json)?,
        Verb::Executions { id: Some(id), .. } => executions::one(&ask()?, &id, json)?,
        Verb::Executions { id: None, agent, status } => executions::list(&ask()?, agent, status, json)?,
        Verb::Answer { id: Some(id), answer: Some(text), by, .. } => answer::answer(&ask()?, &id, &text, &by, json)?,
        Verb::Answer { agent, .. } => answer::list(&ask()?, agent.as_deref(), json)?,
        Verb::Plans { verb } => plans::run(&ask()?, verb, json)?,
        Verb::Schedules { verb } => schedules::run(&ask()?, verb, json)?,
        Verb::Usage { since, agent } => usage::usage(&ask()?, since.as_deref(), agent.as_deref(), json)?,
        Verb::State(verb) => state::run(&ask()?, verb, json)?,
        Verb::Dlq(verb) => dead_letters::run(&ask()?, verb, json)?,
        Verb::Restart { agent } => show::tell(&ask()?, &agent, "restart", "is started afresh")?,
        Verb::Pause { agent } => show::tell(&ask()?, &agent, "pause", "is paused; its messages wait")?,
        Verb::Resume { agent } => show::tell(&ask()?, &agent, "resume", "goes on")?,
        Verb::Init { folder } => init::init(folder.as_deref().unwrap_or(Path::new(".")))?,
        Verb::Doctor { variables: true } => doctor::variables(json),
        Verb::Doctor { variables: false } => doctor::doctor(env())?,
        Verb::Schema { of } if of == "providers" => output::json(&greenroom_config::providers_schema()),
        Verb::Schema { .. } => output::json(&greenroom_config::agent_schema()),
        Verb::Selftest(options) => return selftest::selftest(&env()?, &options, json),
        Verb::SelftestTool { ledger } => selftest::serve_tool(&ledger)?,
        Verb::Healthcheck => show::healthcheck(&ask()?)?,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "greenroom", &mut anstream::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

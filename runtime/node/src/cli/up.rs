//! `greenroom up`.

use std::{process::ExitCode, time::Duration};

use greenroom_config::{Environment, NodeConfig, Roles};
use greenroom_contract::port::operator::Operator;

use super::{exit::Exit, output};
use crate::{
    boot::{self, BootError, Node, Outcome},
    telemetry,
};

/// Shells, doors and relay hold no thread for long: two are enough for one to be free.
const FEWEST_WORKERS: usize = 2;
/// How long tasks that have nothing more to do get to see that the node has ended.
const LAST_WAIT: Duration = Duration::from_millis(200);

/// Starts a node with these roles, or with those of the environment, and keeps it up until a signal. Exit codes: 0 clean, 1 something was aborted, 70 too many
/// threads were lost to tasks that cannot be ended, 130 a second signal.
pub(super) fn up(env: Environment, roles: Option<Roles>) -> Result<ExitCode, Exit> {
    let mut config = NodeConfig::from_env(&env)?;
    if let Some(roles) = roles {
        config.roles = roles;
    }
    let began = std::time::Instant::now();
    // Kept until the very end: it flushes the log.
    let _log = telemetry::start(&config.log, &config.data_dir)?;
    let workers = std::thread::available_parallelism().map_or(FEWEST_WORKERS, |cores| cores.get().max(FEWEST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .thread_name("greenroom")
        .build()?;
    let outcome = runtime.block_on(async {
        let node = boot::start(config, env).await?;
        tracing::info!(http.addr = %node.addr, start_ms = began.elapsed().as_millis() as u64, "Node is up.");
        greet(&node, began.elapsed().as_millis());
        boot::run_until_stopped(node).await
    });
    // Tasks that do not end are left behind; what they held is resumed at the next start.
    runtime.shutdown_timeout(LAST_WAIT);
    match outcome {
        Ok(Outcome::Clean) => Ok(ExitCode::SUCCESS),
        Ok(Outcome::Aborted) => Ok(ExitCode::FAILURE),
        Ok(Outcome::Interrupted) => Ok(ExitCode::from(130)),
        Ok(Outcome::Overwhelmed) => Ok(ExitCode::from(70)),
        Err(error) => {
            tracing::error!(%error, "The node did not start.");
            match error {
                BootError::Environment(_) | BootError::Config(_) | BootError::Combination(_) => {
                    Err(Exit::config(error))
                }
                _ => Err(Exit::failed(error)),
            }
        }
    }
}

/// Ends the process, wherever it is, once nobody holds the other end of standard input any more. A node takes that as it
/// takes `kill -9`: what it held is resumed at its next start, if there is one.
pub(super) fn end_with_stdin() -> Result<(), Exit> {
    std::thread::Builder::new().name("tether".to_owned()).spawn(|| {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        output::note(format_args!("Whoever started this node is gone ({ended:?}); it ends."));
        #[expect(clippy::disallowed_methods, reason = "nobody is left to hear of an orderly end")]
        std::process::exit(1);
    })?;
    Ok(())
}

/// What a newcomer needs to know next; on standard error, so that standard output stays the log.
fn greet(node: &Node, millis: u128) {
    let agents = node.orchestrator.agents();
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let example = names.iter().find(|name| **name == "customer-support").or(names.first());
    output::note(format_args!(
        "\n  greenroom {}   {} agents in {millis} ms   http://{}",
        env!("CARGO_PKG_VERSION"),
        names.len(),
        node.addr
    ));
    output::note(format_args!("  agents     {}", names.join(", ")));
    output::note("\n  Next, in a second terminal (here `cargo greenroom` is the binary):");
    if let Some(agent) = example {
        output::note(format_args!("    cargo greenroom invoke {agent} \"what time is it?\""));
    }
    output::note("    cargo greenroom tree");
    output::note("    cargo greenroom ps");
    output::note("  Press Ctrl-C to stop.\n");
}

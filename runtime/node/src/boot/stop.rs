//! Stop: in named phases, within the grace; what cannot finish is given back, not lost.
//!
//! ```text
//!   unready     nothing is taken in; readers of streams are sent away, waiting callers told how far it is
//!   agents      queues are let go, what was not begun is given back; executions finish;
//!               nearly at the end they are asked to stop between two calls; then they are aborted and given back
//!   services    the outbox goes out as far as it will, confirmed; last of all the HTTP door, which names until then
//!               who is still at work
//! ```

use std::time::Duration;

use super::{error::BootError, signals::Signals, start::Node, time_to_stop::TimeToStop};

/// What stands in the log where a signal's name would, when the watchdog ends the node.
const OVERWHELMED: &str = "watchdog";

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything finished, or stopped between two calls with its journal complete.
    Clean,
    /// Something had to be aborted; what can be given back was.
    Aborted,
    /// A second signal ended the wait.
    Interrupted,
    /// Too many threads were lost to tasks that cannot be ended: the node has to be started afresh.
    Overwhelmed,
}

/// Keeps a node up until a signal, then takes it down.
pub async fn run_until_stopped(node: Node) -> Result<Outcome, BootError> {
    let mut signals =
        Signals::listen().map_err(|error| BootError::Other(format!("signals cannot be heard: {error}")))?;
    let watchdog = node.watchdog.clone();
    let signal = tokio::select! {
        signal = signals.next() => signal,
        reason = watchdog.overwhelmed() => {
            tracing::error!(error = reason, "Too many threads are lost: the node stops, to be started afresh.");
            OVERWHELMED
        }
    };
    let grace = node.config.shutdown_grace;
    tracing::info!(
        signal,
        grace_ms = grace.as_millis() as u64,
        "Stopping: nothing new is taken in, what is at work may finish."
    );
    tokio::select! {
        outcome = take_down(node, grace) => Ok(if signal == OVERWHELMED { Outcome::Overwhelmed } else { outcome }),
        signal = signals.next() => {
            tracing::warn!(signal, "A second signal: the node ends at once; what was at work is resumed at the next start.");
            Ok(Outcome::Interrupted)
        }
    }
}

/// Takes a node down at once, within its own grace: for programs that have a node inside.
pub async fn stop(node: Node) -> Outcome {
    let grace = node.config.shutdown_grace;
    take_down(node, grace).await
}

async fn take_down(node: Node, grace: Duration) -> Outcome {
    let time = TimeToStop::within(grace);
    node.orchestrator.stopping("agents");
    node.closing.cancel();
    let before = node.orchestrator.at_work();
    let agents_down = node.agents.stop_all(time.agents_down).await;
    tracing::info!(all = agents_down, executions = before, "Agents have stopped.");
    node.orchestrator.stopping("services");
    let services_down = node.root.stop_all(time.services).await;
    if !services_down {
        // They stop one after the other, the last of these first.
        let places = node.ports.table.places();
        let up: Vec<&str> = places.iter().filter(|one| one.kind == "service").map(|one| one.name.as_str()).collect();
        tracing::warn!(up = up.join(", "), "Services did not stop in time.");
    }
    let unfinished = node.orchestrator.given_back();
    // Last, because the services renew the lease: what could not be given back one by one is given back with it.
    match tokio::time::timeout(time.leave, node.ports.state.leave(&node.config.node)).await {
        Ok(Ok(left)) => tracing::debug!(executions = left, "The node's lease is given up."),
        Ok(Err(error)) => tracing::warn!(%error, "The node's lease could not be given up; it runs out by itself."),
        Err(_) => tracing::warn!("The node's lease was not given up in time; it runs out by itself."),
    }
    tracing::info!(all = services_down, unfinished, "Services have stopped.");
    std::fs::remove_file(node.config.data_dir.join(crate::cli::ADDRESS_FILE)).ok();
    if agents_down && services_down && unfinished == 0 { Outcome::Clean } else { Outcome::Aborted }
}

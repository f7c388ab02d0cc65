//! The scout: asks the store, for all agents of the node in one question, who has work that nobody feels responsible
//! for: what a dead node held, what a node that left gave back, retries of others. It also keeps pauses in step, and has
//! whoever called another agent go on with its answer.

use std::{collections::BTreeSet, time::Duration};

use greenroom_contract::{AgentId, port::state::Error};
use tokio::time::Instant;

use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// How often the store is asked: with a lease of 4 s, a dead node's work is taken up within 5 s.
const EVERY: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How many agents are told at a time: all of them, in practice.
const AGENTS: u32 = 100_000;
/// A question that takes long, because much waits, is asked the more seldom: it is to cost no more than this share.
const SHARE: u32 = 20;
/// But not more seldom than this.
const SELDOM: Duration = Duration::from_secs(5);

/// The scout as a service of the node.
pub fn scout(ports: std::sync::Arc<Ports>, orchestrator: Orchestrator) -> ChildSpec {
    service("scout", move |stop| {
        let (ports, orchestrator) = (std::sync::Arc::clone(&ports), orchestrator.clone());
        async move {
            let mut look_at_pauses = false;
            let mut due_before = BTreeSet::new();
            let mut wait = EVERY;
            loop {
                let next = Instant::now() + wait;
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        // What it waited for has come: it goes on at once.
                        answered = ports.ended.answered() => {
                            answered.iter().for_each(|agent| orchestrator.poke(agent, true));
                        }
                        () = tokio::time::sleep_until(next) => break,
                    }
                }
                look_at_pauses = !look_at_pauses;
                let asked = Instant::now();
                let look = look(&ports, &orchestrator, &mut due_before, look_at_pauses);
                // The monitor says when the store is down; here the next look is as good.
                if let Ok(Err(error)) = tokio::time::timeout(ANSWER, look).await {
                    tracing::debug!(%error, "Lost work could not be looked for.");
                }
                wait = EVERY.max(asked.elapsed() * SHARE).min(SELDOM);
            }
        }
    })
}

async fn look(
    ports: &Ports,
    orchestrator: &Orchestrator,
    due_before: &mut BTreeSet<AgentId>,
    pauses: bool,
) -> Result<(), Error> {
    let due: BTreeSet<AgentId> = ports.state.due_agents(AGENTS).await?.into_iter().collect();
    for agent in &due {
        // What is due for the first time has most often just come in, and is taken up where the agent is awake. That is no
        // reason to wake it here, too.
        orchestrator.poke(agent, due_before.contains(agent));
    }
    *due_before = due;
    if pauses {
        let turn = orchestrator.pause_turn();
        let paused = ports.state.paused().await?;
        orchestrator.keep_paused(paused, Some(turn));
    }
    Ok(())
}

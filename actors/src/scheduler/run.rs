//! The service's loop.

use std::{sync::Arc, time::Duration};

use super::desk::Desk;
use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// How long a look may take. What it did stands; the next one does the rest.
const LOOK: Duration = Duration::from_secs(30);
/// The wait after a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// The scheduler as a service of the node. It sleeps until a schedule is due, and looks besides when the folder or an operator
/// here changes something, and every few seconds for what others change.
pub fn scheduler(ports: Arc<Ports>, orchestrator: Orchestrator) -> ChildSpec {
    service("scheduler", move |stop| {
        let (ports, orchestrator) = (Arc::clone(&ports), orchestrator.clone());
        async move {
            let mut desk = Desk::new(ports);
            let mut anew = true;
            loop {
                let look = async {
                    match anew || !desk.is_current() {
                        true => desk.read(orchestrator.scheduled_agents()).await,
                        false => desk.serve().await,
                    }
                };
                let looked = tokio::time::timeout(LOOK, look).await;
                anew = !matches!(looked, Ok(Ok(_)));
                let wait = match looked {
                    Ok(Ok(wait)) => wait,
                    Ok(Err(error)) => {
                        // The monitor says when the store is down.
                        tracing::debug!(%error, "Schedules could not be looked at; tried again.");
                        AGAIN
                    }
                    Err(_) => {
                        tracing::warn!("A look at the schedules took too long; what is left is done by the next.");
                        Duration::ZERO
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = orchestrator.agenda_changed() => anew = true,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    })
}

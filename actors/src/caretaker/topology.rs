//! The orchestrator's duty: every agent's queue is there before any node runs the agent, so that events wait durably.

use std::{sync::Arc, time::Duration};

use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the bus may take for one queue.
const DECLARE: Duration = Duration::from_secs(15);

/// The duty as a service of the node. It declares all queues at start, after each change of the folder, and after each
/// reconnect of the bus.
pub fn topology(ports: Arc<Ports>, orchestrator: Orchestrator) -> ChildSpec {
    service("topology", move |stop| {
        let (ports, orchestrator) = (Arc::clone(&ports), orchestrator.clone());
        async move {
            let mut reconnects = ports.bus.reconnects();
            while !stop.is_cancelled() {
                let done = declare_all(&ports, &orchestrator).await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = orchestrator.folder_changed() => {}
                    () = crate::relay::reconnected(&mut reconnects) => {}
                    () = tokio::time::sleep(AGAIN), if !done => {}
                }
            }
            Ok(())
        }
    })
}

async fn declare_all(ports: &Ports, orchestrator: &Orchestrator) -> bool {
    for queue in orchestrator.queues() {
        let name = queue.name.clone();
        match tokio::time::timeout(DECLARE, ports.bus.declare(queue)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(queue = name, %error, "A queue cannot be declared ahead; tried again.");
                return false;
            }
            Err(_) => {
                tracing::warn!(queue = name, "A queue was not declared in time; tried again.");
                return false;
            }
        }
    }
    true
}

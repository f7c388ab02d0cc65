//! The service.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use greenroom_config::{Role, Roles};
use greenroom_contract::port::bus::QueueSpec;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Plan, clear::Clearing, desk::Desk, plan::Queue};
use crate::{orchestrator::Orchestrator, ports::Ports, service::service, supervisor::ChildSpec};

/// How many queues are declared at a time.
const AT_ONCE: usize = 16;
/// How long one may take: thousands of bindings.
const DECLARE: Duration = Duration::from_secs(60);
/// The wait after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How often what is left over is looked at, while there is something; after so many looks less often, because another node
/// has not let go of it.
const LEFT: Duration = Duration::from_secs(3);
const LOOKS: u32 = 20;
const SELDOM: Duration = Duration::from_secs(60);

/// The sorter as a service of a node of a cluster. Its desks close when `closing` is cancelled: a node that stops takes
/// nothing in.
pub fn sorter(ports: Arc<Ports>, orchestrator: Orchestrator, roles: Roles, closing: CancellationToken) -> ChildSpec {
    service("sorter", move |stop| {
        let (ports, orchestrator) = (Arc::clone(&ports), orchestrator.clone());
        let (roles, closing) = (roles.clone(), closing.clone());
        async move {
            tokio::select! {
                () = stand(&ports, &orchestrator, &roles) => {}
                () = closing.cancelled() => stop.cancelled().await,
                () = stop.cancelled() => {}
            }
            Ok(())
        }
    })
}

/// Carries out one plan after the other, for ever. Ended at any moment it loses nothing.
async fn stand(ports: &Arc<Ports>, orchestrator: &Orchestrator, roles: &Roles) {
    let mut plans = ports.sorting.plans();
    let mut desks = BTreeMap::new();
    let mut clearing = Clearing::default();
    let mut looks = 0;
    loop {
        let plan = Arc::clone(&plans.borrow_and_update());
        // The plans' sender is in the ports.
        tokio::select! {
            rest = carry_out(&plan, ports, orchestrator, roles, &mut desks, &mut clearing) => {
                let wait = match rest {
                    Rest::Everything => Some(AGAIN),
                    Rest::Leftovers => Some(if looks < LOOKS { LEFT } else { SELDOM }),
                    Rest::Nothing => None,
                };
                tokio::select! {
                    _ = plans.changed() => looks = 0,
                    () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => looks += 1,
                }
            }
            _ = plans.changed() => looks = 0,
        }
    }
}

/// What is left to be done for a plan.
enum Rest {
    Everything,
    Leftovers,
    Nothing,
}

async fn carry_out(
    plan: &Plan,
    ports: &Arc<Ports>,
    orchestrator: &Orchestrator,
    roles: &Roles,
    desks: &mut BTreeMap<String, DropGuard>,
    clearing: &mut Clearing,
) -> Rest {
    let shards: Vec<Queue> = plan.shards().filter(|queue| plan.shared && roles.has(queue.role)).collect();
    desks.retain(|name, _| shards.iter().any(|queue| queue.name == *name));
    // Those that come in order wait: what was sent before they were is in the agents' own queues.
    let open = |desks: &mut BTreeMap<String, DropGuard>, ordered: bool| {
        for queue in shards.iter().filter(|queue| queue.ordered == ordered) {
            desks.entry(queue.name.clone()).or_insert_with(|| {
                let (ports, orchestrator) = (Arc::clone(ports), orchestrator.clone());
                Desk { ports, orchestrator, queue: queue.clone() }.open()
            });
        }
    };
    // Who has the role orchestrator may have declared anybody's queue, and clears anybody's.
    let is_mine = |queue: &Queue| roles.has(queue.role) || roles.has(Role::Orchestrator);
    let mine: BTreeSet<String> = plan.shards().filter(is_mine).map(|queue| queue.name).collect();
    let specs = plan.shared_queues().into_iter().filter(|spec| mine.contains(&spec.name));
    // A bus that is away is told of elsewhere.
    if ports.bus.health().await.is_err() || !declare_shared(ports, specs.collect()).await {
        return Rest::Everything;
    }
    if plan.shared {
        ports.sorting.done(plan.generation);
    }
    open(desks, false);
    let leftovers = plan.leftovers().into_iter().filter(is_mine);
    let (ordered, others) = leftovers.partition(|queue| queue.ordered);
    let ordered_gone = clearing.go_on(ports, orchestrator, plan.shared, ordered).await;
    open(desks, true);
    let others_gone = clearing.go_on(ports, orchestrator, plan.shared, others).await;
    ports.sorting.done(plan.generation);
    if ordered_gone && others_gone { Rest::Nothing } else { Rest::Leftovers }
}

/// Declares shared queues. Returns whether all are there.
pub(crate) async fn declare_shared(ports: &Ports, queues: Vec<QueueSpec>) -> bool {
    let each = queues.into_iter().map(|spec| async {
        let queue = spec.name.clone();
        let declared = timeout(DECLARE, ports.bus.declare(spec)).await;
        let error = match declared {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it was not declared within {DECLARE:?}"),
        };
        tracing::warn!(queue, error, "A shared queue cannot be declared; tried again.");
        false
    });
    stream::iter(each).buffer_unordered(AT_ONCE).all(|done| async move { done }).await
}

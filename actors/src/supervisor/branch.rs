//! A supervisor as the child of a supervisor: so that a child's trouble can become its parent's decision.

use std::sync::Arc;

use greenroom_contract::{execution::Failure, tree::Table};
use ractor::{Actor, ActorRef};

use super::{
    actor::{Args, Supervisor},
    message::{ChildSpec, Message},
    policy::Policy,
    state::State,
};

impl Supervisor {
    /// A supervisor at `path` of the tree, with these children from its start on, to be added to the supervisor above.
    /// Each generation begins with a fresh memory. It ends abnormally when a child whose policy says so has used up its
    /// restarts. `policy.shutdown` must exceed what its children need to stop one after the other.
    pub fn branch(table: Table, path: &str, core: State, policy: Policy, children: Vec<ChildSpec>) -> ChildSpec {
        let path = path.to_owned();
        ChildSpec {
            name: path.rsplit('/').next().unwrap_or(&path).to_owned(),
            kind: "supervisor",
            policy,
            start: Arc::new(move |above, _generation| {
                let (table, path, core) = (table.clone(), path.clone(), core.clone());
                let args = Args { table, path, core, children: children.clone(), entered: true };
                Box::pin(async move {
                    let spawned = Actor::spawn_linked(None, Supervisor, args, above).await;
                    spawned
                        .map(|(actor, _)| actor.get_cell())
                        .map_err(|error| Failure::new("start_failed", error.to_string()))
                })
            }),
            stop: Arc::new(|cell, _within| {
                // One that ended just now needs no telling.
                drop(ActorRef::<Message>::from(cell.clone()).send_message(Message::Stop));
            }),
            rested: None,
        }
    }
}

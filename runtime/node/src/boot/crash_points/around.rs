//! Puts the places round a node's ports.

use std::sync::Arc;

use greenroom_actors::ports::Ports;
use greenroom_config::Environment;
use greenroom_contract::port::reply::Replies;

use super::{
    bus::Dangerous as DangerousBus, outfit::Dangerous as DangerousOutfitter, replies, state, trigger::Trigger,
};

/// The ports as they are, or with the places round them if the environment asks for it.
pub(in crate::boot) fn around(ports: Ports, env: &Environment) -> Ports {
    let Some(trigger) = Trigger::from_env(env) else { return ports };
    tracing::warn!("This node kills itself where its GREENROOM_CRASH_FILE says so. That is for tests.");
    Ports {
        state: Arc::new(state::Dangerous { inner: ports.state, trigger: Arc::clone(&trigger) }),
        bus: Arc::new(DangerousBus { inner: ports.bus, trigger: Arc::clone(&trigger) }),
        outfitter: Arc::new(DangerousOutfitter { inner: ports.outfitter, trigger }),
        ..ports
    }
}

/// The ways back to people, likewise.
pub(in crate::boot) fn around_replies(inner: Arc<dyn Replies>, env: &Environment) -> Arc<dyn Replies> {
    match Trigger::from_env(env) {
        Some(trigger) => Arc::new(replies::Dangerous { inner, trigger }),
        None => inner,
    }
}

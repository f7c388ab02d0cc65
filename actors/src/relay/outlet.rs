//! Where replies go out: the node hands in what sends them.

use std::sync::Arc;

use greenroom_contract::port::reply::Replies;

use crate::ports::Ports;

/// What the relay needs.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) ports: Arc<Ports>,
    pub(super) replies: Arc<dyn Replies>,
}

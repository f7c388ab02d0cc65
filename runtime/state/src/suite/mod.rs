//! The behaviour suite: what [`State`](greenroom_contract::port::state::State) promises, as tests that every
//! implementation passes unchanged.
//!
//! Each behaviour is a function that takes a fresh, empty store on a [`Stage`] and panics where the promise is broken.
//! [`state_suite!`](crate::state_suite) makes a `#[tokio::test]` of each; [`run_all`] runs them one after the other.
//! Its files follow the port's sections.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a behaviour is a test: it panics where the promise is broken")]

mod budget;
mod calls;
mod checkpoint;
mod claim;
mod clarifications;
mod dead;
mod fence;
mod finish;
mod inbox;
mod journal;
mod list;
mod memory;
mod nodes;
mod outbox;
mod plan_runs;
mod queries;
mod relay;
mod schedules;
mod stage;
mod states;
mod submit;
mod sweep;

pub use budget::*;
pub use calls::*;
pub use checkpoint::*;
pub use claim::*;
pub use clarifications::*;
pub use dead::*;
pub use fence::*;
pub use finish::*;
pub use inbox::*;
pub use journal::*;
pub use list::run_all;
pub use memory::*;
pub use nodes::*;
pub use outbox::*;
pub use plan_runs::*;
pub use queries::*;
pub use relay::*;
pub use schedules::*;
pub use stage::{ManualClock, Stage};
pub use states::*;
pub use submit::*;
pub use sweep::*;

//! The hot tier on Redis: the latest checkpoint of each conversation, and executions that have ended, before a durable
//! store.
//!
//! The durable store decides. A checkpoint from here is used only when its version is the durable one, which is asked for
//! at the same time; an ended execution never changes. So a stale entry is never believed, and Redis may lose everything.
//!
//! `tiered` is the decorator round the store, `tier` speaks to Redis, `breaker` keeps a Redis that does not answer out of
//! everybody's way, `entry` is how a value lies there, `near` is what this process saw of it last.

mod breaker;
mod calls;
mod clarifications;
mod entry;
mod near;
mod plan_runs;
mod schedules;
mod states;
mod tier;
mod tiered;

pub use tier::{Options, RedisTier};
pub use tiered::Tiered;

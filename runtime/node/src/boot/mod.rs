//! A node from its first line to its last.

mod backends;
#[cfg(debug_assertions)]
mod crash_points;
mod error;
mod outfitter;
mod replies;
mod signals;
mod stage;
mod start;
mod stop;
mod time_to_stop;

pub use backends::migrate;
pub use error::BootError;
pub use start::{Node, start};
pub use stop::{Outcome, run_until_stopped, stop};

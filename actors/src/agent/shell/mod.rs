//! The shell: everything an agent does when it hears something. It never waits for the outside world.

mod end;
mod instances;
mod sleep;
mod state;
mod storm;
mod verbs;
mod versions;
mod work;

pub(super) use sleep::Memory;
pub(super) use state::Shell;

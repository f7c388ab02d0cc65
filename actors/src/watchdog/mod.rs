//! The watchdog: is each execution getting on, and who holds a thread?
//!
//! Life: the boot makes one [`Watchdog`] and starts its [`Sampler`] (a plain OS thread, because a runtime cannot judge
//! itself; in tests with paused time a task of the runtime). Each execution runs inside [`watched`], which notes in its
//! [`Pulse`] when it is polled; the execution itself says there what it does and until when it may be silent. Every
//! round the pure [`verdict`] judges each pulse; what is hung or burns its thread is reported to its instance, at most
//! one report at a time, and the pure [`escalate`] says how far to go: cancel, abort, quarantine.

mod dog;
mod escalate;
mod pulse;
mod quarantine;
mod sampler;
mod time;
mod verdict;

pub use dog::{Finding, Rules, Watch, Watchdog};
pub use escalate::{Patience, Remedy, Stage, escalate};
pub use pulse::{Pulse, watched};
pub use quarantine::Lost;
pub use sampler::Sampler;
pub use time::Time;
pub use verdict::{Reading, Verdict, verdict};

//! Fake ports, and requests against a whole router.

mod bus;
mod calls;
mod clarifications;
mod house;
mod samples;
mod states;
mod store;

pub(crate) use clarifications::question_id;
pub(crate) use house::{Answer, House, Mood, NOW, signed};
pub(crate) use samples::{agent, execution};
pub(crate) use states::Kept;

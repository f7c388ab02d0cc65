//! Fake ports, and requests against a whole router.

mod bus;
mod clarifications;
mod house;
mod store;

pub(crate) use clarifications::question_id;
pub(crate) use house::{Answer, House, Mood, NOW, agent, execution, signed};

//! Fake ports, and requests against a whole router.

mod bus;
mod house;
mod store;

pub(crate) use house::{Answer, House, Mood, NOW, agent, execution, signed};

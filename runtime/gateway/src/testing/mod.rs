//! Fake ports, and requests against a whole router.

mod bus;
mod calls;
mod clarifications;
mod house;
mod plan_runs;
mod samples;
mod slack;
mod states;
mod store;

pub(crate) use clarifications::{question, question_id};
pub(crate) use house::{Answer, House, Mood, NOW, SECRET, signed, web};
pub(crate) use samples::{agent, execution};
pub(crate) use slack::{FakeSlack, replies};
pub(crate) use states::Kept;
pub(crate) use store::FakeState;

//! Fake ports, and requests against a whole router.

mod bus;
mod calls;
mod clarifications;
mod house;
mod plan_runs;
mod samples;
mod signed;
mod slack;
mod states;
mod store;

pub(crate) use clarifications::{question, question_id};
pub(crate) use house::{Answer, House, Mood, NOW, web};
pub(crate) use samples::{agent, execution};
pub(crate) use signed::{SECRET, signed};
pub(crate) use slack::{FakeSlack, replies};
pub(crate) use states::Kept;
pub(crate) use store::FakeState;

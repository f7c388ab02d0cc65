//! Collaborations: a coordinator has a plan carried out by other agents, step by step.
//!
//! Life of a run: it is the execution of an agent with a `collaboration`. The plan is written in its file, given with the task, or
//! made by its model; people allow it, where that is wanted; each step is a call of another agent, and the coordinator waits for their
//! ends and holds nothing meanwhile. Everything that it learns of the world is a step of its journal, so that after a crash, on
//! whatever node, it goes the same way again and starts nothing twice.
//!
//! * `collaborate`: the behaviour, from the task to the result; `task`: what it is asked
//! * `planner`: how a model makes a plan; `prompts`: what agents, models and people are told
//! * `runner`: what is next, a pure decision; `outcome`: what a step came to; `rounds`: in which order ends are learned
//! * `readiness`: is everybody there, before the first step? `asking`: the run's own model calls
//! * `digest`: long outputs, told by a summary; `result`: what the run comes to
//! * `shown`: what people see of a run; `news`: what is told of it

mod asking;
mod collaborate;
mod digest;
mod news;
mod outcome;
mod planner;
mod prompts;
mod readiness;
mod result;
mod rounds;
mod runner;
#[cfg(test)]
mod runner_tests;
mod shown;
mod task;

pub(crate) use collaborate::Collaborate;
pub(crate) use news::{REJECTED, cancelled, ending};
pub(crate) use task::task_of_payload;

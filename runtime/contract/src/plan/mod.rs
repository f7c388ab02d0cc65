//! Plans: what a collaboration of agents is to do, step by step, and how far a run of it is. The words are those of the
//! Portia SDK.
//!
//! * `name`: `$name`, by which outputs and inputs are known, and paths into them
//! * `definition`: the plan and its steps, as people and planners write them; `check`: what is wrong with one
//! * `condition`: when a step is wanted; `parse` reads its expressions, `evaluate` says what they come to
//! * `template`: texts with `$name` in them
//! * `run`: a run, as the store keeps it and the API shows it
//! * `portia`: plans and runs that the Portia SDK wrote

mod check;
mod condition;
mod definition;
mod evaluate;
mod name;
mod parse;
mod portia;
#[cfg(test)]
mod portia_tests;
mod run;
mod template;

pub use check::{Fault, MOST_STEPS, check, check_schema};
pub use condition::{Comparison, Condition, Expression, Operand};
pub use definition::{OnFailure, Plan, PlanInput, PlanStep, Variable};
pub use evaluate::holds;
pub use name::{InvalidName, Name, Reference, Segment, Values};
pub use parse::NotAnExpression;
pub use portia::{Imported, NotPortia, import};
pub use run::{KeptStep, NewPlanRun, PlanProgress, PlanRun, PlanRunFilter, StepRun, Task};
pub use template::{fill, references};

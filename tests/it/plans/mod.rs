//! Collaborations: a coordinator has a plan carried out by other agents, on both backends.

mod crowd;
mod ground;
mod keeping;
mod killing;
mod outliving;
mod people;
mod planning;
mod running;

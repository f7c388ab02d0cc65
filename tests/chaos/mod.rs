//! Faults on purpose, and what must hold after them.
//!
//! * `cell`: one place at which a node is killed, and what may follow from it.
//! * `cast`: the agents that play, and what their model says.
//! * `matrix`: kills a node at each place of a subject and looks at what became of the work.
//! * `load`: work that goes on while servers and networks break.
//! * `talks`: many conversations over nodes that are killed at random.
//! * `cut`: connections that are cut under load.
//! * `evidence`: what the peers outside counted, and what the node tells of a workflow.
//! * `invariants`: the one place where it is judged.

mod cast;
mod cell;
mod cut;
mod evidence;
mod invariants;
mod load;
mod matrix;
mod talks;

pub use cell::{Cell, Deed, Subject, When};
pub use cut::{cut_off, lasts, says_why};
pub use invariants::Summary;
pub use load::Load;
pub use matrix::{Report, Setting, kill_everywhere};
pub use talks::{Talked, Talks, talk};

//! Answers in a form: JSON that fits a schema.
//!
//! - `layer`: checks every answer that was asked for in a form, and asks the model once to mend it

mod layer;

pub use greenroom_contract::form::{Form, Misfit};
pub(crate) use layer::Structured;

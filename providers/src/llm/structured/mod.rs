//! Answers in a form: JSON that fits a schema.
//!
//! - `form`: a schema and what it says of an answer; no document outside of it is ever fetched
//! - `layer`: checks every answer that was asked for in a form, and asks the model once to mend it

mod form;
mod layer;

pub use form::{Form, Misfit};
pub(crate) use layer::Structured;

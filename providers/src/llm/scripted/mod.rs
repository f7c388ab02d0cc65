//! The stand-in without a model: it plays the rules of an agent's `script`, and says what it is where no rule applies.
//!
//! - `model`: the provider; `rules`: which rule applies and what it does, a pure decision

mod model;
mod rules;

pub(crate) use model::Scripted;

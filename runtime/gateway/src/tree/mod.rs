//! The supervision tree for people: filtered, as text, as a diagram. Pure functions, of use to the terminal too.

mod facts;
mod filter;
mod mermaid;
#[cfg(test)]
mod tests;
mod text;

pub use filter::{Filter, filter};
pub use mermaid::mermaid;
pub use text::{glyph, text};

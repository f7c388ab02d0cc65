//! Tools: what an agent can do besides thinking, behind [`greenroom_contract::port::tool::Toolset`].
//!
//! - `set`: the tools of one agent; `names`: what the model calls them
//! - `builtin`: the tools that Greenroom brings
//! - `mcp`: servers of the Model Context Protocol, looked after for as long as the set is open

mod builtin;
mod mcp;
mod names;
mod set;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod tests;

pub use set::open;

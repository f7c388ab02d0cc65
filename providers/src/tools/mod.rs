//! Tools: what an agent can do besides thinking, behind [`greenroom_contract::port::tool::Toolset`].
//!
//! - `toolshed`: opens an agent's tools; what agents share; `seat`: a server's place in the supervision tree
//! - `set`: the tools of one agent; `names`: what the model calls them
//! - `builtin`: the tools that Greenroom brings
//! - `mcp`: servers of the Model Context Protocol, looked after for as long as the set is open
//! - `pattern`: texts with `*`; `limit`: how much of an answer is shown

mod builtin;
mod limit;
mod mcp;
mod names;
mod pattern;
mod seat;
mod set;
mod toolshed;

#[cfg(test)]
mod fake_http;
#[cfg(test)]
mod fetch_tests;
#[cfg(test)]
mod http_tests;
#[cfg(test)]
mod mcp_tests;
#[cfg(test)]
mod tests;

pub use toolshed::Toolshed;

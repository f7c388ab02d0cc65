//! A model server that speaks OpenAI's chat completions, plays a script and remembers what it was asked.
//!
//! It lives in the test's process, on a real socket, and so survives the node that asks it.

mod reply;
mod request;
mod server;
mod wire;

pub use reply::{Gate, Reply};
pub use request::Asked;
pub use server::ModelServer;

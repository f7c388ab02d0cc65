//! A fake Slack: signs requests as Slack signs them, and receives what a node answers.

mod receiver;
mod requests;
mod sign;
mod socket;

pub use receiver::{Received, Slack};
pub use requests::Posted;
pub use sign::{now, signature};
pub use socket::Sockets;

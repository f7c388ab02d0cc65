//! Agents that wake by themselves (R3): each story on one embedded node, and on a cluster of three, one for each duty. What takes
//! hours, years or many kills is in `sim/schedules.rs` and beside the scheduler itself.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

mod both;
mod ground;
mod stories;
mod whole;

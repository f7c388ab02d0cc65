//! Autonomous and continuous agents (R5, R6): each story on one embedded node, and on a cluster with two pools. What takes hours or
//! many kills is in `sim` and beside `tests/chaos`.
#![expect(clippy::unwrap_used, reason = "a test fails where its store does")]

mod autonomous;
mod both;
mod continuous;
mod ground;
mod states;

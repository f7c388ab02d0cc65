//! The core and its actor under every case, every history and every clock.

mod groups;
mod invariants;
mod kit;
mod matrix;
mod model;
mod parking;
mod rules;
mod storm;
mod world;

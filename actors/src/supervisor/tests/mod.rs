//! The core and its actor under every case, every history and every clock.

mod fuzz;
mod groups;
mod invariants;
mod kit;
mod life;
mod matrix;
mod model;
mod parking;
mod rules;
mod stage;
mod storm;
mod world;

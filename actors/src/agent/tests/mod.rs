//! An agent under its supervisor, with fake ports: what it does when things go wrong, or nothing happens at all.

mod answering;
mod deaf;
mod hung;
mod others;
mod parked;
mod reload;
mod sleep;
mod spinning;
mod storms;

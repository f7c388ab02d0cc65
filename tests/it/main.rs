//! The stories: the real binary, real sockets, scripted peers. Read `follow_one_event` first.
#![expect(clippy::panic, reason = "a test fails by panicking, with a message that explains itself")]

mod asking;
mod bad_input;
mod cast;
mod clarifications;
mod cli;
mod cluster;
mod crash;
mod dead_letters;
mod follow_one_event;
mod full_disk;
mod http_door;
mod hung;
mod kill_matrix;
mod mcp_servers;
mod memory;
mod modes;
mod plans;
mod providers;
mod proxy;
mod reload;
mod retention;
mod schedules;
mod secrets;
mod selftest;
mod servers;
mod shutdown;
mod sim;
mod slack_door;
mod slack_questions;
mod slack_replies;
mod spinning;
mod stand;
mod supervision;
mod tidy;
mod watching;

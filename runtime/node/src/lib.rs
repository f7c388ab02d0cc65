#![doc = include_str!("../README.md")]

pub mod boot;
pub mod cli;
pub mod telemetry;

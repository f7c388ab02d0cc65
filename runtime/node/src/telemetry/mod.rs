//! The log: JSON lines with every span's fields at the top level, or a pretty form on a terminal; and the same JSON
//! lines in `{data_dir}/logs`, where `greenroom logs` finds them.

mod json;
mod panics;
mod setup;

pub use setup::{Guard, LOG_FILE_PREFIX, start};

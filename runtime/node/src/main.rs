//! The `greenroom` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroom_node::cli::main()
}

//! Calling `.ci/servers`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Where the servers keep everything: `target/servers`, beside the profile that this test runs from.
pub(super) fn base() -> PathBuf {
    let here = std::env::current_exe().ok();
    // A test runs from `target/debug/deps`, a benchmark too.
    match here.as_deref().and_then(|file| file.ancestors().nth(3)) {
        Some(target) => target.join("servers"),
        None => panic!("the test does not know where it runs from"),
    }
}

/// A call of the script, to be run. It finds the tests' servers by its environment.
pub(super) fn command(arguments: &[&str]) -> Command {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = tests.parent().unwrap_or(tests);
    let mut command = Command::new(top.join(".ci/servers"));
    command.args(arguments).env("GREENROOM_TEST_SERVERS_DIR", base()).current_dir(top).stdin(Stdio::null());
    command
}

/// What the script printed.
///
/// # Panics
/// When it failed.
#[track_caller]
pub(super) fn printed(output: std::io::Result<Output>) -> String {
    printed_by(".ci/servers", output)
}

/// What another script printed.
///
/// # Panics
/// When it failed.
#[track_caller]
pub(super) fn printed_by(script: &str, output: std::io::Result<Output>) -> String {
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!("{script} failed:\n{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{script} cannot be started: {error}"),
    }
}

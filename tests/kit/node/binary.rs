//! Where the programs are that the stories start.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The `greenroom` binary. The first call of a test process builds it, in the profile of the tests: cargo gives the path
/// of a binary only to tests of its own package, and a story must never run an old one. It takes a moment when all is
/// built.
///
/// # Panics
/// When it does not build.
pub fn greenroom() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built().join("greenroom"))
}

/// The tool server `kit-mcp`, which counts its calls in the file that is its first argument.
///
/// # Panics
/// When it does not build.
pub fn mcp_server() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built().join("kit-mcp"))
}

/// The folder of both, once they are built.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = profile_folder();
        build(&folder);
        folder
    })
}

/// `target/debug` or its like: a test runs from `deps` in there.
fn profile_folder() -> PathBuf {
    let here = std::env::current_exe().ok();
    match here.as_deref().and_then(Path::parent).and_then(Path::parent) {
        Some(folder) => folder.to_owned(),
        None => panic!("the test does not know where it runs from"),
    }
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells a test of its package would look like a change to build scripts that watch it (ring's does), and
    // half of the dependencies would be built again, and once more by the next cargo outside.
    let told = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        cargo.env_remove(name);
    }
    let built = cargo
        // The whole workspace chooses the features, as it does for `cargo test --workspace`: else all is built twice.
        .args(["build", "--quiet", "--workspace", "--bin", "greenroom", "--bin", "kit-mcp", "--profile", profile])
        // So do the tests' own dependencies where something of theirs is built too; what is measured goes without.
        .args((profile == "dev").then_some("--examples"))
        .arg("--target-dir")
        .arg(folder.parent().unwrap_or(folder))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output();
    match built {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("the programs do not build:\n{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cargo cannot be started: {error}"),
    }
}

//! Tool servers that nobody here wrote: the reference servers of the Model Context Protocol, from npm and PyPI, as
//! `.ci/mcp_servers` installs them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use super::script;

/// The folder with the programs, installed at the first call of a test process unless they are there.
///
/// # Panics
/// When they cannot be had.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let top = tests.parent().unwrap_or(tests);
        let folder = script::base().with_file_name("mcp-servers");
        let mut command = Command::new(top.join(".ci/mcp_servers"));
        let output = command.arg(&folder).current_dir(top).stdin(Stdio::null()).output();
        PathBuf::from(script::printed_by(".ci/mcp_servers", output).trim())
    })
}

/// A server's program, as npm or PyPI calls it: `mcp-server-time`, for one.
///
/// # Panics
/// When it cannot be had.
pub fn reference_server(name: &str) -> String {
    let places = ["npm/node_modules/.bin", "python/bin"].map(|place| folder().join(place).join(name));
    match places.iter().find(|program| program.exists()) {
        Some(program) => program.display().to_string(),
        None => panic!("there is no {name} in {}", folder().display()),
    }
}

/// A port on loopback that is nobody's, for a program that cannot be given a listener.
///
/// # Panics
/// When none can be had.
pub fn free_port() -> u16 {
    let printed = script::printed(script::command(&["port"]).output());
    match printed.trim().parse() {
        Ok(port) => port,
        Err(error) => panic!("{printed:?} is no port: {error}"),
    }
}

/// The processes whose parent, or parent's parent and so on, is `root`, and whose command line holds `words`.
pub fn descendants(root: u32, words: &str) -> Vec<u32> {
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: the state, the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let below = |pid: u32| std::iter::successors(parent(pid), |pid| parent(*pid)).any(|above| above == root);
    let says = |pid: u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| says(*pid) && below(*pid)).collect()
}

//! Processes that are not our children: the script started them and is gone.

use std::{fs, process::Command};

/// A process and everything below it.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        // Each thread of a process has its own list.
        for thread in fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// Whether a process lives. One that is dead and that nobody asked for (a zombie) does not; as long as one of its threads has
/// not ended it does, and may hold its port.
pub(super) fn lives(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default()).any(|stat| {
        // The program's name stands in brackets and may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    })
}

/// Sends a signal to processes. Those that are gone already are passed over.
///
/// # Panics
/// When no signal can be sent at all.
pub(super) fn signal(name: &str, pids: &[u32]) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let kill = format!("for pid; do kill -{name} \"$pid\" 2> /dev/null; done; true");
    let sent = Command::new("sh").args(["-c", &kill, "kill"]).args(pids.iter().map(u32::to_string)).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
}

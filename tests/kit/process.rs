//! Processes by their numbers: ours, and those that a script started that is gone.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// A thread stops when it next comes to a processor, which takes its time on a busy machine.
const FREEZING: Duration = Duration::from_secs(30);

/// A process and everything below it.
pub(crate) fn family(pid: u32) -> Vec<u32> {
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

/// Stops processes where they stand (SIGSTOP), and returns when no thread of them runs any more: until then they answer.
///
/// # Panics
/// When no signal can be sent, or one of them goes on.
pub(crate) fn freeze(pids: &[u32]) {
    signal("STOP", pids);
    let asked = Instant::now();
    while pids.iter().any(|pid| threads(*pid).iter().any(|state| !['T', 't', 'Z', 'X'].contains(state))) {
        assert!(asked.elapsed() < FREEZING, "{pids:?} go on after a SIGSTOP");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process lives. One that is dead and that nobody asked for (a zombie) does not; as long as one of its threads has
/// not ended it does, and may hold its port.
pub(crate) fn lives(pid: u32) -> bool {
    threads(pid).iter().any(|state| !['Z', 'X'].contains(state))
}

/// The states of a process's threads, by the kernel's letters.
fn threads(pid: u32) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
    // The program's name stands in brackets and may hold anything.
    stats.filter_map(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())).collect()
}

/// Sends a signal to processes. Those that are gone already are passed over.
///
/// # Panics
/// When no signal can be sent at all.
pub(crate) fn signal(name: &str, pids: &[u32]) {
    // The shell's own `kill`: the program of that name is not on every machine.
    let kill = format!("for pid; do kill -{name} \"$pid\" 2> /dev/null; done; true");
    let sent = Command::new("sh").args(["-c", &kill, "kill"]).args(pids.iter().map(u32::to_string)).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} could not be sent");
}

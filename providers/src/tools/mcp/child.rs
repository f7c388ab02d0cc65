//! A server that is a program: started with what it was given and nothing else, ended with everything that it started.

use std::{process::Stdio, time::Duration};

use tokio::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long the rest of its family gets to be gone.
const LAST_SIGN: Duration = Duration::from_secs(2);

/// A running program, alone with its children in a process group of its own. Dropped, all of them are killed.
pub(super) struct Program {
    child: Child,
    #[cfg(unix)]
    group: Option<nix::unistd::Pid>,
}

/// What the program reads, writes and complains to.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Program {
    /// Starts it with exactly these variables.
    pub(super) fn start(command: &str, args: &[String], env: &[(String, String)]) -> std::io::Result<(Self, Pipes)> {
        let mut program = Command::new(command);
        program
            .args(args)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A Ctrl-C at the terminal is for us: running work gets its time, and its tools, to finish.
        #[cfg(unix)]
        program.process_group(0);
        let mut child = program.spawn()?;
        #[cfg(unix)]
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(nix::unistd::Pid::from_raw);
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((
                Self {
                    child,
                    #[cfg(unix)]
                    group,
                },
                Pipes { stdin, stdout, stderr },
            )),
            _ => Err(std::io::Error::other("its input and output are not connected")),
        }
    }

    /// Resolves when the program has exited. What it started may still run.
    pub(super) async fn exited(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }

    /// Kills the program and everything that it started, and waits until the program is gone.
    pub(super) async fn kill(&mut self) {
        self.kill_group();
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "A tool server has exited before it was killed.");
        }
        if timeout(LAST_SIGN, self.child.wait()).await.is_err() {
            tracing::warn!("A tool server that was killed is still there.");
        }
    }

    /// `npx` and its like start the server as a child: to kill the one would leave the other.
    fn kill_group(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.group.take() {
            // An error says that nobody is left.
            nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill_group();
    }
}

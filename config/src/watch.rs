//! Watching the folder of agents' files.
//!
//! A poll is the truth: notifications get lost on bind mounts and swapped links. What they give is speed, so they only
//! bring the next look forward.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use greenroom_contract::task;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _, event};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::load::{Folder, LoadError, Loaded};

/// How often the folder is looked at without being told to.
const POLL: Duration = Duration::from_millis(500);
/// A look at a folder of thousands takes long: it is taken the more seldom, to cost no more than this share. Where the
/// system tells of changes the look is only the net below, and may cost less.
const SHARE: u32 = 50;
const SHARE_OF_THE_TOLD: u32 = 400;
/// But not more seldom than this.
const SELDOM: Duration = Duration::from_secs(20);
/// A change counts once the folder has been still for so long: editors and copies write in several strokes.
const STILL: Duration = Duration::from_millis(100);
/// A folder that does not come to rest is taken as it is after so many looks.
const MOST_LOOKS: usize = 3;

/// Watches `agents/` of the configuration folder until `cancel` is cancelled or the receiver is dropped.
///
/// The first message is the folder as it is when the watch begins, so that nothing is missed between
/// [`crate::load::load`] and here; then one follows within a second of each change of what the files hold. A receiver
/// that is slow gets the latest state, not every one. While the folder is missing or unreadable nothing is sent, which keeps what runs.
pub fn watch(config_dir: PathBuf, cancel: CancellationToken) -> mpsc::Receiver<Loaded> {
    let (sender, receiver) = mpsc::channel(1);
    drop(task::spawn("config-watcher", Watcher::new(&config_dir).run(sender, cancel)));
    receiver
}

/// The work of [`watch`], for a supervisor that runs it in a task of its own.
#[derive(Debug)]
pub struct Watcher {
    eye: Arc<Mutex<Eye>>,
    woken: mpsc::Receiver<()>,
}

impl Watcher {
    /// A watcher of `agents/` in the configuration folder. It does nothing before it runs.
    pub fn new(config_dir: &Path) -> Self {
        Self::of(Folder::new(config_dir))
    }

    /// Reads the folder now, as [`crate::load::load`] does, and watches it from there: what it says now is not told again, and
    /// no file is read twice. Blocks on the file system.
    pub fn open(config_dir: &Path) -> Result<(Loaded, Self), LoadError> {
        let mut folder = Folder::new(config_dir);
        folder.scan()?;
        Ok((folder.loaded(), Self::of(folder)))
    }

    fn of(folder: Folder) -> Self {
        let (wake, woken) = mpsc::channel(1);
        let eye = Eye { folder, hint: Hint { wake, armed: None, hopeless: false } };
        Self { eye: Arc::new(Mutex::new(eye)), woken }
    }

    /// Watches, as [`watch`] says. Returns when it is cancelled or when nobody receives any more.
    pub async fn run(mut self, sender: mpsc::Sender<Loaded>, cancel: CancellationToken) {
        let mut next = Instant::now();
        let mut unsent = None;
        let mut blind = false;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = sender.closed() => return,
                () = sleep_until(next) => {}
                _ = self.woken.recv() => {}
                permit = sender.reserve(), if unsent.is_some() => {
                    let (Ok(permit), Some(latest)) = (permit, unsent.take()) else { return };
                    permit.send(latest);
                    continue;
                }
            }
            let eye = Arc::clone(&self.eye);
            let look = tokio::task::spawn_blocking(move || eye.lock().unwrap_or_else(PoisonError::into_inner).look());
            let seen = tokio::select! {
                () = cancel.cancelled() => return,
                seen = look => seen,
            };
            next = Instant::now() + POLL;
            match seen {
                Ok(Ok(Seen { latest, again })) => {
                    next = Instant::now() + again;
                    if std::mem::take(&mut blind) {
                        tracing::info!("The folder of agents can be read again.");
                    }
                    unsent = latest.or(unsent);
                }
                Ok(Err(error)) if !blind => {
                    blind = true;
                    tracing::warn!(%error, "The folder of agents cannot be read; the agents go on as they are.");
                }
                Ok(Err(_)) => {}
                Err(error) => tracing::error!(%error, "A look at the folder of agents failed; the next one follows."),
            }
        }
    }
}

/// What looks at the folder. It blocks, so it lives outside the async threads.
#[derive(Debug)]
struct Eye {
    folder: Folder,
    hint: Hint,
}

impl Eye {
    /// What the folder says, if that has changed since the last look.
    fn look(&mut self) -> Result<Seen, LoadError> {
        // First the hint, then the look: a change between the two is told.
        self.hint.arm(self.folder.path());
        let begun = std::time::Instant::now();
        let changed = self.folder.scan()?;
        let again = pause_after(begun.elapsed(), self.hint.armed.is_some());
        if !changed {
            return Ok(Seen { latest: None, again });
        }
        for _ in 1..MOST_LOOKS {
            thread::sleep(STILL);
            if !self.folder.scan()? {
                break;
            }
        }
        // What changed just now may change once more, and coarse clocks would not show it.
        Ok(Seen { latest: Some(self.folder.loaded()), again: POLL })
    }
}

/// What a look showed.
struct Seen {
    latest: Option<Loaded>,
    /// How long until the next one.
    again: Duration,
}

fn pause_after(look: Duration, told: bool) -> Duration {
    let share = if told { SHARE_OF_THE_TOLD } else { SHARE };
    POLL.max(look.saturating_mul(share)).min(SELDOM)
}

/// The notifications of the system, where it has them.
#[derive(Debug)]
struct Hint {
    wake: mpsc::Sender<()>,
    /// The folder that is listened to, by its identity: one that was deleted and made again is another.
    armed: Option<(Identity, RecommendedWatcher)>,
    hopeless: bool,
}

impl Hint {
    fn arm(&mut self, folder: &Path) {
        let Some(identity) = identity(folder) else {
            self.armed = None;
            return;
        };
        if self.hopeless || self.armed.as_ref().is_some_and(|(armed, _)| *armed == identity) {
            return;
        }
        self.armed = None;
        let wake = self.wake.clone();
        let listener = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Our own reading is told too, and is no news. A full channel has a wake-up waiting already.
            if !event.is_ok_and(|event| is_mere_reading(event.kind)) {
                wake.try_send(()).ok();
            }
        });
        let armed = listener.and_then(|mut listener| {
            listener.watch(folder, RecursiveMode::NonRecursive)?;
            Ok((identity, listener))
        });
        match armed {
            Ok(armed) => self.armed = Some(armed),
            Err(error) => {
                self.hopeless = true;
                tracing::warn!(%error, "The system does not tell of changed files; the folder of agents is polled.");
            }
        }
    }
}

fn is_mere_reading(kind: EventKind) -> bool {
    use event::{AccessKind, AccessMode};
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

type Identity = (u64, u64);

/// Which folder a path leads to now; `None` if it leads nowhere.
fn identity(folder: &Path) -> Option<Identity> {
    let meta = std::fs::metadata(folder).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    {
        drop(meta);
        Some((0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_comes_soon_unless_a_look_is_dear() {
        let millis = Duration::from_millis;
        assert_eq!(pause_after(millis(1), true), millis(500), "a folder of hundreds");
        assert_eq!(pause_after(millis(40), false), millis(2000), "thousands of which nobody tells");
        assert_eq!(pause_after(millis(40), true), millis(16_000));
        assert_eq!(pause_after(millis(9000), false), SELDOM);
    }

    #[tokio::test]
    async fn what_was_read_at_the_start_is_not_told_again_and_a_change_is() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("agents")).unwrap();
        std::fs::write(home.path().join("agents/a.yaml"), "").unwrap();
        let (loaded, watcher) = Watcher::open(home.path()).unwrap();
        assert_eq!(loaded.refused.len(), 1);
        let (sender, mut receiver) = mpsc::channel(1);
        std::fs::write(home.path().join("agents/b.yaml"), "").unwrap();
        let running = task::spawn("config-watcher", watcher.run(sender, CancellationToken::new()));
        let told = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.unwrap().unwrap();
        assert_eq!(told.refused.len(), 2, "only what changed since is news");
        drop(receiver);
        tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends with its receiver").unwrap();
    }

    #[tokio::test]
    async fn where_the_system_tells_nothing_the_poll_does() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("agents")).unwrap();
        let watcher = Watcher::new(home.path());
        watcher.eye.lock().unwrap().hint.hopeless = true;
        let (sender, mut receiver) = mpsc::channel(1);
        let running = task::spawn("config-watcher", watcher.run(sender, CancellationToken::new()));
        assert!(receiver.recv().await.unwrap().refused.is_empty());
        std::fs::write(home.path().join("agents/a.yaml"), "").unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await.unwrap().unwrap();
        assert_eq!(told.refused.len(), 1);
        drop(receiver);
        tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends with its receiver").unwrap();
    }
}

//! The folder of agents' files, and what was read in it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{self, Read},
    panic,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::{Definition, Loaded, Problem, Refused, definition::parse_located, tree::Place};

/// So many files are worth several threads.
const MANY: usize = 256;
/// A larger file is not an agent.
const MAX_BYTES: u64 = 1_000_000;
/// Clocks of file systems are coarse: a file changed so shortly before it was read is read again.
const RACY: Duration = Duration::from_secs(2);

/// Why a folder cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such folder.
    #[error(
        "{} does not exist; create it (`greenroom init` does) and put agents' YAML files there, \
         or set GREENROOM_CONFIG_DIR to the folder that holds `agents/`", path.display()
    )]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not a folder; agents' YAML files are looked for in a folder of that name", path.display())]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// `providers.yaml` cannot be used.
    #[error("{0}")]
    Providers(Refused),
    /// It cannot be listed.
    #[error("{} cannot be listed: {source}; let this user read it", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads every `*.yaml` and `*.yml` in `agents/` of the configuration folder; not in folders below it, and no file
/// whose name begins with a dot. Bad files are in [`Loaded::refused`] and disturb no other. Blocks on the file system.
///
/// Where two files name the same agent, the one whose name sorts first has it and the other is refused.
pub fn load(config_dir: &Path) -> Result<Loaded, LoadError> {
    let mut folder = Folder::new(config_dir);
    folder.scan()?;
    Ok(folder.loaded())
}

/// The folder with what is known of its files, so that looking again costs one `stat` for each unchanged file.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// How people speak of the folder: `config/agents`.
    name: PathBuf,
    files: BTreeMap<OsString, Known>,
    /// Whether it was ever read: an empty folder is news too, once.
    read: bool,
}

#[derive(Debug)]
struct Known {
    /// `None` for what could not be read: it is tried again each time.
    stat: Option<Stat>,
    read_at: SystemTime,
    /// Of the contents, or of the reason why there are none.
    digest: [u8; 32],
    /// The definition, and where the agent's name stands.
    outcome: Result<(Definition, Place), Refused>,
}

impl Folder {
    pub(crate) fn new(config_dir: &Path) -> Self {
        let name = config_dir.file_name().map_or_else(|| config_dir.to_owned(), PathBuf::from);
        Self { path: config_dir.join("agents"), name: name.join("agents"), files: BTreeMap::new(), read: false }
    }

    /// `agents/` itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at every file, reads those that changed and says whether what the folder says may have changed.
    pub(crate) fn scan(&mut self) -> Result<bool, LoadError> {
        let mut found = BTreeMap::new();
        let names = self.names()?;
        let mut changed = !std::mem::replace(&mut self.read, true);
        let before: Vec<_> = names.into_iter().map(|name| (self.files.remove(&name), name)).collect();
        let digests: Vec<_> = before.iter().map(|(known, _)| known.as_ref().map(|known| known.digest)).collect();
        for ((name, now), digest) in self.look_at_all(before).into_iter().zip(digests) {
            let Some(now) = now else { continue };
            changed |= digest != Some(now.digest);
            found.insert(name, now);
        }
        // What is left there was not found again.
        changed |= !self.files.is_empty();
        self.files = found;
        Ok(changed)
    }

    /// What the folder says, as of the last scan.
    pub(crate) fn loaded(&self) -> Loaded {
        let mut loaded = Loaded::default();
        for known in self.files.values() {
            let (definition, named_at) = match &known.outcome {
                Ok(good) => good,
                Err(refused) => {
                    loaded.refused.push(refused.clone());
                    continue;
                }
            };
            let name = definition.spec.name.clone();
            if let Some(first) = loaded.agents.get(&name) {
                let message = format!("the agent {name} is already defined in {}", first.file.display());
                let help = "give one of the two another name, or remove it".to_owned();
                let problem = Problem::at(*named_at, "name", message, Some(help));
                loaded.refused.push(Refused::new(&definition.file, Some(name), vec![problem], ""));
                continue;
            }
            loaded.agents.insert(name, definition.clone());
        }
        loaded
    }

    fn names(&self) -> Result<Vec<OsString>, LoadError> {
        let path = || self.path.clone();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => LoadError::Missing { path: path() },
            io::ErrorKind::NotADirectory => LoadError::NotAFolder { path: path() },
            _ => LoadError::Unreadable { path: path(), source },
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if is_agent_file(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The state of each file, in the order given. Many are looked at by several threads.
    fn look_at_all(&self, before: Vec<(Option<Known>, OsString)>) -> Vec<(OsString, Option<Known>)> {
        let look = |part: Vec<(Option<Known>, OsString)>| -> Vec<(OsString, Option<Known>)> {
            let look = |(known, name): (Option<Known>, OsString)| (self.look(&name, known), name);
            part.into_iter().map(look).map(|(known, name)| (name, known)).collect()
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        if before.len() < MANY || threads == 1 {
            return look(before);
        }
        let each = before.len().div_ceil(threads);
        let mut rest = before.into_iter();
        let parts: Vec<Vec<_>> = (0..threads).map(|_| rest.by_ref().take(each).collect()).collect();
        thread::scope(|scope| {
            let looking: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| look(part))).collect();
            let looked =
                looking.into_iter().map(|part| part.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
            looked.flatten().collect()
        })
    }

    /// The state of one file; `None` when it has gone since the folder was listed.
    fn look(&self, name: &OsStr, before: Option<Known>) -> Option<Known> {
        let path = self.path.join(name);
        let read_at = SystemTime::now();
        let refuse = |message: String, help: &str| {
            let digest = Sha256::digest(message.as_bytes()).into();
            let refused = Refused::new(&self.name.join(name), None, vec![Problem::whole(message, help)], "");
            Some(Known { stat: None, read_at, digest, outcome: Err(refused) })
        };
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            Err(_) if fs::symlink_metadata(&path).is_err() => return None,
            Err(error) => return refuse(format!("cannot be read: {error}"), "is it a link to nothing?"),
        };
        if meta.is_dir() {
            return refuse(
                "is a folder, not a file".to_owned(),
                "folders in `agents/` are not read; rename it or move it away",
            );
        }
        // Opening a pipe would wait for its writer for ever.
        if !meta.is_file() {
            return refuse("is not a regular file".to_owned(), "");
        }
        let stat = Stat::of(&meta);
        if before.as_ref().is_some_and(|before| before.is_current(&stat)) {
            return before;
        }
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
            Ok(read) if read as u64 > MAX_BYTES => {
                return refuse(
                    format!("is larger than {MAX_BYTES} bytes"),
                    "an agent's file is small; move data elsewhere",
                );
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return refuse(format!("cannot be read: {error}"), "let this user read it"),
        }
        let digest = Sha256::digest(&bytes).into();
        let outcome = match before.filter(|before| before.digest == digest) {
            Some(before) => before.outcome,
            None => understand(&self.name.join(name), &bytes),
        };
        Some(Known { stat: Some(stat), read_at, digest, outcome })
    }
}

impl Known {
    fn is_current(&self, stat: &Stat) -> bool {
        let settled = |at: SystemTime| self.read_at.duration_since(at).is_ok_and(|age| age > RACY);
        self.stat.as_ref() == Some(stat) && stat.times().all(settled)
    }
}

fn understand(file: &Path, bytes: &[u8]) -> Result<(Definition, Place), Refused> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let problem = Problem::whole(format!("is not UTF-8 text (line {line})"), "save it as UTF-8");
            return Err(Refused::new(file, None, vec![problem], ""));
        }
    };
    // The parser is not ours: should it ever panic, that is this file's fault and no other's.
    panic::catch_unwind(|| parse_located(file, text)).unwrap_or_else(|_| {
        let problem = Problem::whole("could not be read: the YAML parser failed on it", "please report this file");
        Err(Refused::new(file, None, vec![problem], ""))
    })
}

/// `*.yaml` and `*.yml`, but no dotfile: those are editors' and Kubernetes' own.
fn is_agent_file(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or_default();
    let yaml = extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml");
    yaml && !name.as_encoded_bytes().starts_with(b".")
}

/// What shows that a file changed. `len` and the times would do, were it not for coarse clocks and swapped links.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    len: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and the moment of the last change of any kind.
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Stat {
    fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            len: meta.len(),
            modified: meta.modified().ok(),
            #[cfg(unix)]
            identity: (meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec()),
        }
    }

    fn times(&self) -> impl Iterator<Item = SystemTime> {
        #[cfg(unix)]
        let changed = u64::try_from(self.identity.2).ok().map(|secs| {
            SystemTime::UNIX_EPOCH + Duration::new(secs, u32::try_from(self.identity.3).unwrap_or_default())
        });
        #[cfg(not(unix))]
        let changed = None;
        // A file system without times is read every time.
        [Some(self.modified.unwrap_or_else(SystemTime::now)), changed].into_iter().flatten()
    }
}

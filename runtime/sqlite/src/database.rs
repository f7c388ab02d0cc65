//! Opening, and the two ways in.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{Error, Migration, migrate, reader::Readers, writer::Writer};

const READERS: usize = 2;
const FILE: &str = "greenroom.db";
const LOCK: &str = "greenroom.lock";

/// The database of one node. Cheap to clone; the file closes when the last clone is dropped.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped in this order: no writer may outlive the lock.
    writer: Writer,
    readers: Readers,
    path: PathBuf,
    _lock: File,
}

impl Database {
    /// Opens `greenroom.db` in `folder`, making both if they are missing, and applies `migrations`.
    ///
    /// Fails when the folder cannot be written, when another process holds it, or when a later version wrote the file.
    /// Blocks: call it at start, before anything is served.
    pub fn open(folder: &Path, migrations: &[Migration]) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Error::unavailable(
                folder,
                format!("the data folder cannot be made ({error}); set GREENROOM_DATA_DIR to a writable one"),
            )
        })?;
        let lock = take_lock(&folder.join(LOCK))?;
        let path = folder.join(FILE);
        let mut conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        migrate::apply(&mut conn, migrations).map_err(|refusal| match refusal {
            migrate::Refusal::Sqlite(error) => Error::from_sqlite(&path, &error),
            newer @ migrate::Refusal::TooNew { .. } => Error::unavailable(&path, newer.to_string()),
        })?;
        let reading =
            (0..READERS).map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)).collect::<Result<Vec<_>, _>>()?;
        let writer = Writer::start(conn, path.clone())?;
        let readers = Readers::start(reading, path.clone())?;
        Ok(Self { inner: Arc::new(Inner { writer, readers, path, _lock: lock }) })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `job` in a transaction and answers once it is committed and on disk. An error of `job` undoes what it did.
    pub async fn write<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failed<E>> + Send + 'static,
    {
        self.inner.writer.run(job).await
    }

    /// Queues `job` for the writer without waiting for it, for a `Drop` that must not block. Returns whether it was
    /// queued; it is not when the writer's queue is full.
    pub fn write_behind<F>(&self, job: F) -> bool
    where
        F: FnOnce(&Connection) -> Result<(), rusqlite::Error> + Send + 'static,
    {
        self.inner.writer.post(job)
    }

    /// Runs `job` on a reader, which sees everything that was committed before.
    pub async fn read<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failed<E>> + Send + 'static,
    {
        self.inner.readers.run(job).await
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// Why a job failed: SQLite's own error (sorted by what can be done about it on the way out) or the caller's.
#[derive(Debug)]
pub enum Failed<E> {
    /// SQLite's.
    Sqlite(rusqlite::Error),
    /// The caller's.
    Caller(E),
}

impl<E> From<rusqlite::Error> for Failed<E> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl<E: From<Error>> Failed<E> {
    pub(crate) fn sorted(self, path: &Path) -> E {
        match self {
            Self::Sqlite(error) => Error::from_sqlite(path, &error).into(),
            Self::Caller(error) => error,
        }
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let open = || -> Result<Connection, rusqlite::Error> {
        let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.set_prepared_statement_cache_capacity(128);
        // Without it a cached statement that binds a LIMIT is planned again at each use.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            // It takes effect in a file that is new: what is deleted can be given back to the file system later.
            conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            conn.pragma_update(None, "journal_mode", "WAL")?;
            conn.pragma_update(None, "synchronous", "FULL")?;
            // 16 MiB of log before it is folded into the file: the same pages change again and again.
            conn.pragma_update(None, "wal_autocheckpoint", 4096)?;
        }
        Ok(conn)
    };
    open().map_err(|error| Error::from_sqlite(path, &error))
}

fn take_lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(|error| {
        Error::unavailable(
            path,
            format!("the data folder is not writable ({error}); make it writable or set GREENROOM_DATA_DIR"),
        )
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::unavailable(path, "another greenroom uses this data folder; stop it or set GREENROOM_DATA_DIR"))
        }
        Err(TryLockError::Error(error)) => Err(Error::unavailable(path, format!("cannot be locked ({error})"))),
    }
}

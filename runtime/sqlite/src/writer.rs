//! The one writer: a thread that commits together what waits together.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    thread,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, database::Failed};

/// Jobs that may wait; a caller that finds the queue full waits with its job in hand.
const QUEUE: usize = 4096;
/// Jobs in one commit. More would only make the first of them wait longer.
const BATCH: usize = 256;

/// What a job leaves to be done once the commit's outcome is known.
type Reply = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// A job: does its work if it is given a connection, says whether what it did stands, and how to answer.
type Job = Box<dyn FnOnce(Result<&Connection, Error>, &Path) -> (bool, Reply) + Send>;

pub(crate) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    path: PathBuf,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(conn: Connection, path: PathBuf) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn({
                let path = path.clone();
                move || serve(conn, &path, queue)
            })
            .map_err(|error| Error::unavailable(&path, format!("the writer thread cannot be started ({error})")))?;
        Ok(Self { jobs: Some(jobs), path, thread: Some(thread) })
    }

    pub(crate) async fn run<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failed<E>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |conn, path| {
            let result = match conn {
                Ok(conn) => job(conn).map_err(|failed| failed.sorted(path)),
                Err(error) => Err(error.into()),
            };
            let stands = result.is_ok();
            let reply: Reply = Box::new(move |committed| {
                // Nobody listens any more when the caller was dropped: the work stands all the same.
                drop(answer.send(result.and_then(|value| committed.map(|()| value).map_err(E::from))));
            });
            (stands, reply)
        });
        let gone = || E::from(Error::unavailable(&self.path, "the writer has stopped"));
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    pub(crate) fn post<F>(&self, job: F) -> bool
    where
        F: FnOnce(&Connection) -> Result<(), rusqlite::Error> + Send + 'static,
    {
        let job: Job = Box::new(move |conn, path| {
            let result = conn.and_then(|conn| job(conn).map_err(|error| Error::from_sqlite(path, &error)));
            if let Err(error) = &result {
                tracing::warn!(%error, "A write behind failed.");
            }
            (result.is_ok(), Box::new(|_| ()) as Reply)
        });
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        // Everything that was queued is still written; the thread ends when the queue is empty.
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The SQLite writer ended in a panic.");
        }
    }
}

fn serve(conn: Connection, path: &Path, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.blocking_recv_many(&mut batch, BATCH) > 0 {
        let (replies, committed) = commit(&conn, path, batch.drain(..));
        for reply in replies {
            reply(committed.clone());
        }
    }
}

/// Runs the jobs in one transaction. A job that fails is undone alone; if the transaction itself fails, all are.
fn commit(
    conn: &Connection,
    path: &Path,
    batch: impl ExactSizeIterator<Item = Job>,
) -> (Vec<Reply>, Result<(), Error>) {
    let statement = |sql| match conn.prepare_cached(sql).and_then(|mut prepared| prepared.execute([])) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::from_sqlite(path, &error)),
    };
    let mut replies = Vec::with_capacity(batch.len());
    let mut outcome = statement("BEGIN IMMEDIATE");
    for job in batch {
        let ready = outcome.clone().and_then(|()| statement("SAVEPOINT job"));
        let ran = catch_unwind(AssertUnwindSafe(|| job(ready.clone().map(|()| conn), path)));
        outcome = match (ready, ran) {
            (Err(error), ran) => {
                replies.extend(ran.ok().map(|(_, reply)| reply));
                Err(error)
            }
            (Ok(()), Ok((stands, reply))) => {
                replies.push(reply);
                if conn.is_autocommit() {
                    // Some errors (disk full, I/O) make SQLite undo the whole transaction by itself.
                    Err(Error::unavailable(path, "the transaction was undone because the disk is full or failing"))
                } else if stands {
                    statement("RELEASE job")
                } else {
                    statement("ROLLBACK TO job").and_then(|()| statement("RELEASE job"))
                }
            }
            (Ok(()), Err(_)) => {
                tracing::error!("A database job panicked; what it did is undone.");
                statement("ROLLBACK TO job").and_then(|()| statement("RELEASE job"))
            }
        };
    }
    let committed = outcome.and_then(|()| statement("COMMIT"));
    if committed.is_err()
        && !conn.is_autocommit()
        && let Err(error) = statement("ROLLBACK")
    {
        tracing::error!(%error, "A failed transaction could not be rolled back.");
    }
    (replies, committed)
}

#[cfg(test)]
mod tests {
    use crate::{Database, Error, Failed, Migration};

    const TABLE: Migration =
        Migration { component: "test", version: 1, sql: "CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT" };

    async fn insert(db: &Database, n: i64) -> Result<(), Error> {
        db.write(move |conn| {
            conn.execute("INSERT INTO t VALUES (?1)", [n])?;
            Ok(())
        })
        .await
    }

    async fn count(db: &Database) -> i64 {
        db.read::<_, Error, _>(|conn| Ok(conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn one_failed_job_takes_nothing_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path(), &[TABLE]).unwrap();
        let (a, b, c) = tokio::join!(insert(&db, 1), insert(&db, 1), insert(&db, 2));
        assert!(a.is_ok() && c.is_ok());
        assert!(matches!(b, Err(Error::Refused { .. })));
        assert_eq!(count(&db).await, 2);
    }

    #[tokio::test]
    async fn a_job_that_panics_is_undone_and_the_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path(), &[TABLE]).unwrap();
        let answer: Result<(), Error> = db
            .write(|conn| {
                conn.execute("INSERT INTO t VALUES (7)", [])?;
                panic!("on purpose")
            })
            .await;
        assert!(answer.is_err());
        insert(&db, 8).await.unwrap();
        assert_eq!(count(&db).await, 1);
    }

    #[tokio::test]
    async fn a_dropped_caller_does_not_undo_its_write() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path(), &[TABLE]).unwrap();
        {
            let mut write = std::pin::pin!(insert(&db, 1));
            // One poll hands the job over; then the caller goes.
            assert!(futures::poll!(write.as_mut()).is_pending());
        }
        insert(&db, 2).await.unwrap();
        assert_eq!(count(&db).await, 2);
    }

    #[tokio::test]
    async fn two_processes_never_share_a_folder_and_later_schemas_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path(), &[TABLE]).unwrap();
        let second = Database::open(folder.path(), &[TABLE]).unwrap_err().to_string();
        assert!(second.contains("another greenroom uses this data folder"), "{second}");
        drop(db);
        let later = Migration { version: 2, sql: "CREATE TABLE u (n INTEGER) STRICT", ..TABLE };
        drop(Database::open(folder.path(), &[TABLE, later]).unwrap());
        let refused = Database::open(folder.path(), &[TABLE]).unwrap_err().to_string();
        assert!(refused.contains("later version"), "{refused}");
    }

    #[tokio::test]
    async fn a_callers_own_error_comes_back_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(folder.path(), &[TABLE]).unwrap();
        #[derive(Debug)]
        struct Mine;
        impl From<Error> for Mine {
            fn from(_: Error) -> Self {
                Self
            }
        }
        let answer: Result<(), Mine> = db
            .write(|conn| {
                conn.execute("INSERT INTO t VALUES (1)", [])?;
                Err(Failed::Caller(Mine))
            })
            .await;
        assert!(answer.is_err());
        assert_eq!(count(&db).await, 0);
    }
}

//! Readers: threads with a read-only connection each. A job goes to whichever is free.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, database::Failed};

const QUEUE: usize = 1024;

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub(crate) struct Readers {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>, path: PathBuf) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel::<Job>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for conn in connections {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name("sqlite-reader".to_owned())
                .spawn(move || {
                    loop {
                        // The lock is held while waiting for a job, not while doing it.
                        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                        match job {
                            Some(job) => job(&conn),
                            None => return,
                        }
                    }
                })
                .map_err(|error| Error::unavailable(&path, format!("a reader thread cannot be started ({error})")))?;
        }
        Ok(Self { jobs, path })
    }

    pub(crate) async fn run<T, E, F>(&self, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failed<E>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let job: Job = Box::new(move |conn| {
            // Nobody listens any more when the caller was dropped.
            drop(answer.send(job(conn).map_err(|failed| failed.sorted(&path))));
        });
        let gone = || E::from(Error::unavailable(&self.path, "the readers have stopped"));
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

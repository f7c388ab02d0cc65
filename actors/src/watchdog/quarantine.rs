//! Threads that are lost to tasks which do not give them back.

use tokio::sync::watch;

/// How many threads there are, and how many are lost.
pub(super) struct Threads {
    workers: usize,
    lost: watch::Sender<usize>,
}

/// A lost thread; it counts as found again when this is dropped.
pub struct Lost(watch::Sender<usize>);

impl Drop for Lost {
    fn drop(&mut self) {
        self.0.send_modify(|lost| *lost = lost.saturating_sub(1));
    }
}

impl Threads {
    pub(super) fn of(workers: usize) -> Self {
        Self { workers, lost: watch::Sender::new(0) }
    }

    pub(super) fn lose(&self) -> Lost {
        self.lost.send_modify(|lost| *lost += 1);
        Lost(self.lost.clone())
    }

    pub(super) fn too_many(&self) -> Option<String> {
        let lost = *self.lost.borrow();
        too_many(lost, self.workers).then(|| {
            let workers = self.workers;
            format!("{lost} of {workers} threads are held by tasks that cannot be ended; the node has to start afresh")
        })
    }

    pub(super) async fn overwhelmed(&self) -> String {
        let mut news = self.lost.subscribe();
        loop {
            if let Some(reason) = self.too_many() {
                return reason;
            }
            if news.changed().await.is_err() {
                // The sender is ours: it outlives this.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Whether so many lost threads are too many: half of them, and at least one.
fn too_many(lost: usize, workers: usize) -> bool {
    lost >= (workers / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_threads_are_too_many() {
        let least = |workers| (0..).find(|lost| too_many(*lost, workers));
        assert_eq!([1, 2, 3, 4, 8].map(least), [Some(1), Some(1), Some(1), Some(2), Some(4)]);
    }

    #[tokio::test]
    async fn a_thread_that_comes_back_is_not_lost_any_more() {
        let threads = Threads::of(4);
        let first = threads.lose();
        assert_eq!(threads.too_many(), None);
        let second = threads.lose();
        assert!(threads.overwhelmed().await.starts_with("2 of 4 threads"));
        drop(second);
        assert_eq!(threads.too_many(), None);
        drop(first);
    }
}

//! Who makes the rounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use greenroom_contract::task;
use tokio::time::MissedTickBehavior;

use super::dog::Watchdog;

/// Makes the watchdog's rounds until it is dropped.
pub struct Sampler(Maker);

enum Maker {
    Thread { stop: Arc<AtomicBool>, thread: Option<thread::JoinHandle<()>> },
    Task { _rounds: task::Scoped },
}

impl Sampler {
    /// A plain thread: it judges also when no thread of the runtime is free to.
    pub fn thread(dog: Watchdog) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::default());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                dog.round();
                thread::park_timeout(dog.rules().every);
            }
        })?;
        Ok(Self(Maker::Thread { stop, thread: Some(thread) }))
    }

    /// A task of the runtime, for tests whose time stands still.
    pub fn task(dog: Watchdog) -> Self {
        let rounds = async move {
            let mut tick = tokio::time::interval(dog.rules().every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                dog.round();
            }
        };
        Self(Maker::Task { _rounds: task::spawn_scoped("watchdog", rounds) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        if let Maker::Thread { stop, thread } = &mut self.0
            && let Some(thread) = thread.take()
        {
            stop.store(true, Ordering::Release);
            thread.thread().unpark();
            // A round is quick; one that panicked has said so itself.
            thread.join().ok();
        }
    }
}

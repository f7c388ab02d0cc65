//! Readers: connections for questions, made when they are needed and kept.

use std::sync::{Arc, Mutex, PoisonError};

use greenroom_contract::{port::state::Result, task};
use sqlx::PgConnection;
use tokio::sync::Semaphore;

use super::{
    ask::Call,
    fault::{Fault, Job},
    options::Time,
    server::Server,
};

/// The readers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    server: Server,
    time: Time,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

impl Readers {
    pub(super) fn new(server: Server, time: Time, most: usize) -> Self {
        Self { server, time, permits: Arc::new(Semaphore::new(most.max(1))), idle: Arc::default() }
    }

    /// Asks a question on what is committed. It is asked in a task of its own, so that a caller who is dropped never
    /// cancels a call in the midst of its connection's talk.
    pub(super) async fn ask<T: Send + 'static>(&self, call: Call<T>) -> Result<T> {
        let readers = self.clone();
        let asked = task::spawn("postgres-read", async move { readers.answer(call).await });
        let answer =
            asked.await.unwrap_or_else(|end| Err(Fault::Lost(format!("the question was not answered: {end}"))));
        answer.map_err(|fault| fault.into_error(&self.server.place))
    }

    async fn answer<T>(&self, call: Call<T>) -> Job<T> {
        let permit = tokio::time::timeout(self.server.acquire, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(Fault::Unable(format!("no connection was free within {:?}", self.server.acquire)));
        };
        // A kept connection may have died while nobody looked. A question can be asked again.
        if let Some(conn) = self.take() {
            match self.on(conn, &call).await {
                Err(Fault::Lost(_)) => {}
                done => return done,
            }
        }
        let conn = self.server.connect().await?;
        self.on(conn, &call).await
    }

    async fn on<T>(&self, mut conn: PgConnection, call: &Call<T>) -> Job<T> {
        let now = self.time.now();
        let done = self.server.in_time(call(&mut conn, now)).await;
        // After any other fault than these it is as good as new.
        if matches!(done, Ok(_) | Err(Fault::Port(_) | Fault::Wrong(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        done
    }

    fn take(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

//! Streams written as plain `async` code: the code sends chunks as they come and returns the last one.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::Stream;
use greenroom_contract::{
    BoxFuture, BoxStream,
    port::llm::{Chunk, Error, Response},
};

/// Where the code puts its chunks.
pub(crate) struct Emitter(Arc<Mutex<Option<Chunk>>>);

impl Emitter {
    /// Hands one chunk on. It resolves when the consumer asks for the next, so nothing is ever queued.
    pub(crate) async fn emit(&self, chunk: Chunk) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chunk);
        let mut handed_over = false;
        poll_fn(|_| {
            // The stream below takes the chunk when this is pending, and polls again only when it is asked for more.
            if std::mem::replace(&mut handed_over, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The stream of what `code` emits, ended by the answer or the error that it returns. Dropping the stream drops the
/// code.
pub(crate) fn generate<'a, C, F>(code: C) -> BoxStream<'a, Result<Chunk, Error>>
where
    C: FnOnce(Emitter) -> F,
    F: Future<Output = Result<Response, Error>> + Send + 'a,
{
    let slot = Arc::new(Mutex::new(None));
    Box::pin(Generated { code: Some(Box::pin(code(Emitter(slot.clone())))), slot })
}

struct Generated<'a> {
    code: Option<BoxFuture<'a, Result<Response, Error>>>,
    slot: Arc<Mutex<Option<Chunk>>>,
}

impl Stream for Generated<'_> {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(code) = &mut self.code else { return Poll::Ready(None) };
        if let Poll::Ready(end) = code.as_mut().poll(context) {
            self.code = None;
            return Poll::Ready(Some(end.map(|response| Chunk::Done(Box::new(response)))));
        }
        match self.slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn chunks_come_in_order_between_waits_and_the_end_is_the_end() {
        let mut stream = generate(|out| async move {
            out.emit(Chunk::Text("a".to_owned())).await;
            out.emit(Chunk::Text("b".to_owned())).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            out.emit(Chunk::Progress).await;
            Err(Error::Unavailable { provider: "p".to_owned(), message: "m".to_owned() })
        });
        assert_eq!(stream.next().await.unwrap().unwrap(), Chunk::Text("a".to_owned()));
        assert_eq!(stream.next().await.unwrap().unwrap(), Chunk::Text("b".to_owned()));
        assert_eq!(stream.next().await.unwrap().unwrap(), Chunk::Progress);
        assert!(matches!(stream.next().await, Some(Err(Error::Unavailable { .. }))));
        assert!(stream.next().await.is_none());
    }
}

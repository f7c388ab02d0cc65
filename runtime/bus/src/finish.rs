//! Work that, once begun, is carried to its end even if its caller goes away.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use greenroom_contract::{BoxFuture, task};
use tokio::runtime::Handle;

/// Makes `work` go on in a task of its own when its future is dropped half-way. A commit is never undone by its caller's
/// going, so what follows it in memory must not be skipped either. Work that was never polled does not begin.
pub(crate) fn to_the_end<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    Box::pin(ToTheEnd { name, begun: false, work: Some(Box::pin(work)) })
}

struct ToTheEnd<T: Send + 'static> {
    name: &'static str,
    begun: bool,
    work: Option<BoxFuture<'static, T>>,
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.begun = true;
        let Some(work) = self.work.as_mut() else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if self.begun
            && !std::thread::panicking()
            && let Some(work) = self.work.take()
            && Handle::try_current().is_ok()
        {
            drop(task::spawn(self.name, async move { drop(work.await) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_that_began_ends_without_its_caller_and_work_that_did_not_never_begins() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let mut work = to_the_end("test", async move {
            gone.await.ok();
            done.send(()).ok();
        });
        assert!(poll!(&mut work).is_pending());
        drop(work);
        go.send(()).unwrap();
        ended.await.unwrap();

        let (done, ended) = oneshot::channel::<()>();
        drop(to_the_end("test", async move { done.send(()) }));
        assert!(ended.await.is_err());
    }
}

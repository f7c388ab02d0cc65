//! A bus of which only its queues are asked.
#![expect(clippy::unimplemented, reason = "no door calls these")]

use greenroom_contract::{BoxFuture, TopicPattern, port::bus};

pub(crate) struct FakeBus;

impl bus::Bus for FakeBus {
    fn declare(&self, _: bus::QueueSpec) -> BoxFuture<'_, Result<(), bus::Error>> {
        unimplemented!()
    }

    fn retire(&self, _: &str) -> BoxFuture<'_, Result<(), bus::Error>> {
        unimplemented!()
    }

    fn publish(&self, _: Vec<bus::Publication>) -> BoxFuture<'_, Vec<Result<bus::Receipt, bus::Error>>> {
        unimplemented!()
    }

    fn consume(&self, _: &str, _: usize) -> BoxFuture<'_, Result<bus::Subscription<bus::Delivery>, bus::Error>> {
        unimplemented!()
    }

    fn consume_dead(&self, _: usize) -> BoxFuture<'_, Result<bus::Subscription<bus::DeadDelivery>, bus::Error>> {
        unimplemented!()
    }

    fn broadcast(&self, _: &str, _: bytes::Bytes) -> BoxFuture<'_, Result<(), bus::Error>> {
        unimplemented!()
    }

    fn listen(&self, _: TopicPattern) -> BoxFuture<'_, Result<bus::Subscription<bus::Broadcast>, bus::Error>> {
        unimplemented!()
    }

    fn queues(&self) -> BoxFuture<'_, Result<Vec<bus::QueueInfo>, bus::Error>> {
        let name = "agent.input.customer-support".to_owned();
        Box::pin(async move { Ok(vec![bus::QueueInfo { name, ready: 2, unacknowledged: 1, consumers: 1 }]) })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), bus::Error>> {
        unimplemented!()
    }
}

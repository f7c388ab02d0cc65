#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod call;
pub mod clarification;
pub mod clock;
pub mod duration;
pub mod event;
pub mod execution;
pub mod form;
pub mod id;
mod jitter;
pub mod money;
pub mod page;
pub mod plan;
pub mod port;
pub mod status;
pub mod task;
pub mod topic;
pub mod tree;

pub use clock::Clock;
pub use duration::HumanDuration;
pub use event::{Event, Priority, ReplyTo};
pub use id::{AgentId, ClarificationId, EventId, ExecutionId, NodeId, PlanRunId, TraceId};
pub use jitter::jitter;
pub use money::MicroUsd;
pub use topic::TopicPattern;

/// A boxed future, the return type of every port method, so that ports can stand behind `dyn`.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;
/// A boxed stream, for providers' chunks.
pub type BoxStream<'a, T> = futures::stream::BoxStream<'a, T>;

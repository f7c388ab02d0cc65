//! The relay: from the store's outbox to the bus, and beside it the replies: from the outbox to people.
//!
//! Life: it makes due again what was published and reached no inbox before this start; then it takes rows that are due,
//! publishes events in batches, and says of each row what became of it. A row that must reach an inbox
//! goes only when the inbox has it; others go when they were confirmed. Several windows are on their way at a time, and
//! what a door of this node submits is leased to it in the same commit and handed to it (`Outbox`). Under each topic events
//! go in the order of their writing, also after some have failed. It is woken when
//! something is put into the outbox, and looks by itself now and then, because a wake-up is only a hint.
//!
//! Replies go by a loop of their own (`replies`): a chat may be slow for hours, and neither the bus nor others' answers wait for it.

mod hand;
mod replies;
mod run;
mod step;
mod windows;

pub use replies::replies;
pub(crate) use run::reconnected;
pub use run::relay;

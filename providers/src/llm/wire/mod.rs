//! What providers over HTTP have in common.
//!
//! - `exchange`: a request and its body, under the limit of silence and of size
//! - `sse` and `lines`: events and lines out of bytes; `retry_after`: how long a server asks to wait
//! - `failed`: a server's words made fit for an error; `lenient`: a field that may be anything

mod exchange;
mod failed;
mod lenient;
mod lines;
mod retry_after;
mod sse;

pub(crate) use exchange::{Body, Exchange};
pub(crate) use failed::words;
pub(crate) use lenient::lenient;
pub(crate) use lines::Lines;
pub(crate) use retry_after::retry_after;
pub(crate) use sse::{Event, Parser};

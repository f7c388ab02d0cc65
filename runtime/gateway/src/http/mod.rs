//! What every route shares: the outermost layer, the guard, and how requests are read and refused.
//!
//! * `envelope`: trace id, span, one log line, and the one place where a refusal becomes a body
//! * `guard`: bearer token, or loopback names
//! * `problem`: a refusal (RFC 9457)
//! * `read`: bodies, query parameters and ids, with the place of each mistake
//! * `ask`: calls to the ports, each with a deadline

mod ask;
mod envelope;
mod guard;
mod problem;
mod read;

pub(crate) use ask::{ask, ask_page};
pub(crate) use envelope::{Trace, envelope, no_such_route, panicked, wrong_method};
pub(crate) use guard::guard;
pub(crate) use problem::{Place, Problem};
pub(crate) use read::{Id, JsonBody, Params, large_json, media_type, raw_body};

//! `http_fetch`: reads a page or file of the web.
//!
//! What a model asks for may come from a stranger's text, so that its wish alone opens nothing: it reads from hosts that the
//! operator named, over HTTP, without any credentials, and not from this machine or a private network unless the operator
//! says so. Each address is judged after its name was resolved, and each redirect like a first address.
//!
//! - `fetch`: the tool; `address`: which addresses are public; `page`: what is told of an answer

mod address;
mod fetch;
mod page;

pub(super) use fetch::HttpFetch;

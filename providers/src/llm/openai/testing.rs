//! Options for the tests of this room.

use std::sync::Arc;

use super::{Api, Dialect, Options, parse_base_url};
use crate::pricing::Capabilities;

/// OpenAI itself, without a key.
pub(super) fn options(model: &str) -> Options {
    Options {
        base: parse_base_url(None).unwrap(),
        authorization: None,
        key_name: "OPENAI_API_KEY".to_owned(),
        model: model.to_owned(),
        dialect: Dialect::OpenAi,
        api: Api::Responses,
        capabilities: Capabilities::of("openai", model),
        account: Arc::default(),
    }
}

//! Who is played.

use std::sync::Arc;

use kit::vendor;
use serde_json::json;

use super::{
    subject::{KEY, Subject},
    suite::provider_suite,
};

provider_suite! {
    chat_completions => super::chat_completions;
}

/// Any server that speaks chat completions.
fn chat_completions() -> Subject {
    Subject {
        dialect: Arc::new(vendor::OpenAiChat),
        config: |_| json!({ "provider": "openai-compatible", "model": "some-model" }),
        env: |url| vec![("OPENAI_BASE_URL", format!("{url}/v1")), ("OPENAI_API_KEY", KEY.to_owned())],
        nanodollars: None,
        pictures: false,
        forms: false,
    }
}

//! What a tool is to be called with, as the model wrote it.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The arguments as an object; `None` when they are none. No arguments at all are an empty object.
pub(super) fn object(arguments: &str) -> Option<Map<String, Value>> {
    if arguments.trim().is_empty() {
        return Some(Map::new());
    }
    match serde_json::from_str(arguments).ok()? {
        Value::Object(object) => Some(object),
        Value::Null => Some(Map::new()),
        // Encoded twice.
        Value::String(inner) => serde_json::from_str(&inner).ok(),
        _ => None,
    }
}

/// An id that is the same when the same question gets the same answer.
pub(super) fn stable_id(key: &str, position: usize) -> String {
    let digest = Sha256::new().chain_update(key).chain_update((position as u64).to_be_bytes()).finalize();
    format!("call_{}", hex::encode(&digest[..12]))
}

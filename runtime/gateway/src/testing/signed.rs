//! Requests as Slack signs them.

use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};

use super::NOW;

/// The secret of Slack's published vector.
pub(crate) const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

pub(crate) fn signed(path: &str, media: &str, body: &str) -> axum::http::request::Builder {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("v0:{NOW}:{body}").as_bytes());
    let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
    Request::post(path)
        .header("content-type", media)
        .header("x-slack-request-timestamp", NOW.to_string())
        .header("x-slack-signature", signature)
}

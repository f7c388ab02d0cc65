//! How a value lies in Redis.
//!
//! ```text
//! version: 20 digits | check: 8 | payload, as the stores keep theirs (its first byte tells whether it is compressed)
//! ```
//!
//! The version is in digits of one length, so that Redis compares two of them as text. The check is the beginning of the
//! SHA-256 of the rest.

use greenroom_contract::port::{
    llm::Message,
    state::{Checkpoint, NewCheckpoint},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::codec::{self, Stored};

const VERSION: usize = 20;
const HEADER: usize = VERSION + 8;

/// An entry's bytes.
pub(super) fn write(version: u64, value: &impl Serialize) -> Option<Vec<u8>> {
    let payload = codec::encode_json(value).ok()?.into_bytes();
    let version = format!("{version:020}");
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(version.as_bytes());
    bytes.extend_from_slice(&check(version.as_bytes(), &payload));
    bytes.extend_from_slice(&payload);
    Some(bytes)
}

/// The version and value of an entry; `None` when it is damaged or another build's.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<(u64, T)> {
    let (header, payload) = bytes.split_at_checked(HEADER)?;
    let (version, found) = header.split_at_checked(VERSION)?;
    if found != check(version, payload) {
        return None;
    }
    let version = std::str::from_utf8(version).ok()?.parse().ok()?;
    Some((version, codec::decode_json(Stored::from_bytes(payload.to_vec())).ok()?))
}

fn check(version: &[u8], payload: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(version).chain_update(payload).finalize();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

/// A checkpoint as an entry holds it: the newest messages only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Latest {
    /// How many messages it was filled for.
    window: u32,
    length: u64,
    data: Value,
    messages: Vec<Message>,
}

impl Latest {
    /// What the durable store answered to a question for `window` messages.
    pub(super) fn new(checkpoint: &Checkpoint, window: u32) -> Self {
        let Checkpoint { length, data, messages, .. } = checkpoint.clone();
        Self { window, length, data, messages }
    }

    /// The next version, once it is committed.
    pub(super) fn advance(mut self, next: NewCheckpoint) -> Self {
        self.length += next.append.len() as u64;
        self.data = next.data;
        self.messages.extend(next.append);
        let surplus = self.messages.len().saturating_sub(self.window as usize);
        self.messages.drain(..surplus);
        self
    }

    /// The answer to a question for so many messages, if enough are here.
    pub(super) fn answer(&self, version: u64, messages: u32) -> Option<Checkpoint> {
        let here = self.messages.len();
        if here < messages as usize && (here as u64) < self.length {
            return None;
        }
        let messages = self.messages[here.saturating_sub(messages as usize)..].to_vec();
        Some(Checkpoint { version, data: self.data.clone(), length: self.length, messages })
    }
}

#[cfg(test)]
mod tests {
    use greenroom_contract::port::{llm::Role, state::CheckpointKey};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_damaged_or_foreign_entry_is_no_entry() {
        let good = write(7, &json!({ "a": 1 })).unwrap();
        assert_eq!(read::<Value>(&good), Some((7, json!({ "a": 1 }))));
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x11;
            assert_eq!(read::<Value>(&bad), None, "a changed byte {place} went unnoticed");
        }
        assert_eq!(read::<Value>(b"something else"), None);
        assert!(write(9, &0).unwrap() < write(10, &0).unwrap(), "versions compare as text");
    }

    #[test]
    fn an_entry_answers_only_for_what_it_holds() {
        let say = |text: &str| Message::text(Role::User, text);
        let read = Checkpoint { version: 1, data: json!(1), length: 5, messages: vec![say("4"), say("5")] };
        let next = NewCheckpoint {
            key: CheckpointKey { agent: "a".parse().unwrap(), conversation: String::new() },
            replaces: 1,
            data: json!(2),
            append: vec![say("6")],
        };
        let latest = Latest::new(&read, 2).advance(next);
        assert_eq!((latest.length, &latest.data, latest.messages.len()), (6, &json!(2), 2));
        let bytes = write(2, &latest).unwrap();
        let latest = || super::read::<Latest>(&bytes).unwrap().1;
        assert_eq!(latest().answer(2, 1).unwrap().messages, [say("6")]);
        assert_eq!(latest().answer(2, 2).unwrap().messages, [say("5"), say("6")]);
        assert!(latest().answer(2, 3).is_none(), "the fourth message is only in the durable store");
        let whole = Latest::new(&Checkpoint { length: 2, ..read.clone() }, 10);
        assert_eq!(whole.answer(1, 100).unwrap().messages.len(), 2);
    }
}

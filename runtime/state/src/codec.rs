//! How a payload lies in the store: as it is while it is small, compressed above 1 MiB (R7.3).
//!
//! ```text
//! text                                  the payload itself
//! 0 | bytes                             the payload itself, where it is no text
//! 1 | length: 8 | check: 8 | lz4 block  compressed; numbers are little-endian
//! ```
//!
//! The check is the beginning of the SHA-256 of length and block: an lz4 block has no checksum of its own, and a
//! damaged one must not become another payload.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

/// Payloads longer than this are compressed.
const COMPRESS_ABOVE: usize = 1 << 20;
const RAW: u8 = 0;
const LZ4: u8 = 1;
const HEADER: usize = 17;
/// An lz4 block never grows by more than this when it is opened; a length beyond it is a lie.
const MOST_GROWTH: u64 = 256;

/// A payload as its column holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Text, as it is.
    Text(String),
    /// Bytes with a header.
    Blob(Vec<u8>),
}

impl Stored {
    /// The payload as one column of bytes, for a store that has no column of either: text as it is, unless it begins
    /// like a header.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) if matches!(text.as_bytes().first(), Some(&(RAW | LZ4))) => {
                [&[RAW], text.as_bytes()].concat()
            }
            Self::Text(text) => text.into_bytes(),
            Self::Blob(blob) => blob,
        }
    }

    /// The inverse of [`Self::into_bytes`].
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        if matches!(bytes.first(), Some(&(RAW | LZ4))) {
            return Self::Blob(bytes);
        }
        String::from_utf8(bytes).map_or_else(|damaged| Self::Blob(damaged.into_bytes()), Self::Text)
    }
}

/// Why a stored payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("its header is not one that this build knows")]
    Header,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it cannot be decompressed: {0}")]
    Lz4(#[from] lz4_flex::block::DecompressError),
    #[error("it is not the JSON that was expected: {0}")]
    Json(#[from] serde_json::Error),
}

/// Prepares bytes for the store.
pub(crate) fn encode(bytes: Vec<u8>) -> Stored {
    if bytes.len() > COMPRESS_ABOVE {
        return Stored::Blob(compress(&bytes));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Stored::Text(text),
        Err(binary) => {
            let mut blob = vec![RAW];
            blob.extend_from_slice(binary.as_bytes());
            Stored::Blob(blob)
        }
    }
}

/// The inverse of [`encode`].
pub(crate) fn decode(stored: Stored) -> Result<Vec<u8>, Damaged> {
    match stored {
        Stored::Text(text) => Ok(text.into_bytes()),
        Stored::Blob(blob) => match blob.first() {
            Some(&RAW) => Ok(blob[1..].to_vec()),
            Some(&LZ4) => decompress(&blob),
            _ => Err(Damaged::Header),
        },
    }
}

/// Prepares a value for the store, as JSON.
pub(crate) fn encode_json(value: &impl Serialize) -> Result<Stored, Damaged> {
    let text = serde_json::to_string(value)?;
    if text.len() > COMPRESS_ABOVE { Ok(Stored::Blob(compress(text.as_bytes()))) } else { Ok(Stored::Text(text)) }
}

/// The inverse of [`encode_json`].
pub(crate) fn decode_json<T: DeserializeOwned>(stored: Stored) -> Result<T, Damaged> {
    match stored {
        Stored::Text(text) => Ok(serde_json::from_str(&text)?),
        blob @ Stored::Blob(_) => Ok(serde_json::from_slice(&decode(blob)?)?),
    }
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let block = lz4_flex::block::compress(bytes);
    let mut blob = Vec::with_capacity(HEADER + block.len());
    blob.push(LZ4);
    blob.extend_from_slice(&length);
    blob.extend_from_slice(&check(&length, &block));
    blob.extend_from_slice(&block);
    blob
}

fn decompress(blob: &[u8]) -> Result<Vec<u8>, Damaged> {
    let (header, block) = blob.split_at_checked(HEADER).ok_or(Damaged::Header)?;
    let length: [u8; 8] = header[1..9].try_into().map_err(|_| Damaged::Header)?;
    if header[9..] != check(&length, block) {
        return Err(Damaged::Checksum);
    }
    let length = u64::from_le_bytes(length);
    if length > (block.len() as u64).saturating_mul(MOST_GROWTH) {
        return Err(Damaged::Header);
    }
    let bytes = lz4_flex::block::decompress(block, usize::try_from(length).map_err(|_| Damaged::Header)?)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(Damaged::Header) }
}

fn check(length: &[u8; 8], block: &[u8]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(length).chain_update(block).finalize();
    let mut short = [0; 8];
    short.copy_from_slice(&digest[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large() -> Vec<u8> {
        (0..COMPRESS_ABOVE + 1).map(|n| b'a' + (n % 23) as u8).collect()
    }

    #[test]
    fn a_megabyte_is_kept_as_text_and_one_byte_more_is_compressed() {
        let mut bytes = large();
        let compressed = encode(bytes.clone());
        assert!(matches!(&compressed, Stored::Blob(blob) if blob[0] == LZ4 && blob.len() < bytes.len() / 10));
        assert_eq!(decode(compressed).unwrap(), bytes);
        bytes.pop();
        assert!(matches!(encode(bytes), Stored::Text(_)));
    }

    #[test]
    fn bytes_that_are_no_text_come_back_as_they_were() {
        let bytes = vec![0xff, 0, 1];
        assert_eq!(decode(encode(bytes.clone())).unwrap(), bytes);
    }

    #[test]
    fn one_column_of_bytes_holds_every_payload() {
        let text = |text: &str| encode(text.as_bytes().to_vec());
        for stored in [text("{}"), text("\u{1}odd"), text("\u{0}"), encode(vec![0xff, 1]), encode(large()), text("")] {
            let bytes = decode(stored.clone()).unwrap();
            assert_eq!(decode(Stored::from_bytes(stored.into_bytes())).unwrap(), bytes);
        }
        assert_eq!(text("{}").into_bytes(), b"{}", "what is small can be read with the database's own tools");
        assert!(decode(Stored::from_bytes(vec![0xff])).is_err());
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let Stored::Blob(good) = encode(large()) else { panic!("not compressed") };
        for place in (0..good.len()).step_by(97).chain(0..HEADER) {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            assert!(decode(Stored::Blob(bad)).is_err(), "a changed byte {place} went unnoticed");
        }
        assert!(decode(Stored::Blob(good[..HEADER - 1].to_vec())).is_err());
        assert!(decode(Stored::Blob(Vec::new())).is_err());
    }
}

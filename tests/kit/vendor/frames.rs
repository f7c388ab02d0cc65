//! Frames of AWS's event streams (`application/vnd.amazon.eventstream`), from the specification and not by the library
//! that the client uses: lengths, a checksum of the lengths, headers, the payload, a checksum of it all.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

/// The type of a header's value that is a text.
const TEXT: u8 = 7;
/// Two lengths and two checksums.
const ROUND: usize = 16;

/// An event of a stream.
pub(super) fn event(name: &str, payload: &Value) -> Bytes {
    frame("event", ":event-type", name, payload)
}

/// An exception in a stream.
pub(super) fn exception(name: &str, payload: &Value) -> Bytes {
    frame("exception", ":exception-type", name, payload)
}

fn frame(kind: &str, name_header: &str, name: &str, payload: &Value) -> Bytes {
    let mut headers = BytesMut::new();
    for (header, value) in [(":message-type", kind), (name_header, name), (":content-type", "application/json")] {
        headers.put_u8(header.len() as u8);
        headers.put_slice(header.as_bytes());
        headers.put_u8(TEXT);
        headers.put_u16(value.len() as u16);
        headers.put_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let mut frame = BytesMut::new();
    frame.put_u32((ROUND + headers.len() + payload.len()) as u32);
    frame.put_u32(headers.len() as u32);
    frame.put_u32(crc32(&frame));
    frame.put_slice(&headers);
    frame.put_slice(payload.as_bytes());
    frame.put_u32(crc32(&frame));
    frame.freeze()
}

/// CRC-32 as in IEEE 802.3, bit by bit: short, and fast enough for tests.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
    }
}

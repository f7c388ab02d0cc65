//! Whether Slack sent a request: an HMAC over its raw bytes, at most five minutes old, either way.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How far the request's time may be from ours, in seconds, before or after.
const WINDOW: u64 = 300;

/// Why a request is not taken for Slack's. For the log; the caller is told nothing but "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    MissingTimestamp,
    BadTimestamp,
    Stale,
    MissingSignature,
    BadSignature,
    Mismatch,
}

impl Refusal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MissingTimestamp => "missing_timestamp",
            Self::BadTimestamp => "bad_timestamp",
            Self::Stale => "stale",
            Self::MissingSignature => "missing_signature",
            Self::BadSignature => "bad_signature",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Checks the signature of `body` against each of `secrets`: while a secret is changed, the old one is valid too.
pub(crate) fn verify(
    secrets: &[SecretString],
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    let timestamp = headers.get("x-slack-request-timestamp").ok_or(Refusal::MissingTimestamp)?;
    let timestamp = timestamp.to_str().map_err(|_| Refusal::BadTimestamp)?;
    let at = seconds(timestamp).ok_or(Refusal::BadTimestamp)?;
    if now.as_second().abs_diff(at) > WINDOW {
        return Err(Refusal::Stale);
    }
    let signature = headers.get("x-slack-signature").ok_or(Refusal::MissingSignature)?;
    let claimed = signature.to_str().ok().and_then(mac_bytes).ok_or(Refusal::BadSignature)?;
    // Every secret is tried, so that the duration does not tell which one fitted.
    let fits = secrets.iter().fold(false, |fits, secret| fits | matches(secret, timestamp, body, &claimed));
    if fits { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Digits only: a sign, a point or a number beyond the range is no time.
fn seconds(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The 32 bytes behind `v0=`, the only version there is.
fn mac_bytes(signature: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(signature.strip_prefix("v0=")?, &mut bytes).ok()?;
    Some(bytes)
}

fn matches(secret: &SecretString, timestamp: &str, body: &[u8], claimed: &[u8; 32]) -> bool {
    // A key of any length is possible, so that this is always Ok.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
    mac.update(b"v0:");
    mac.update(timestamp.as_bytes());
    mac.update(b":");
    mac.update(body);
    mac.verify_slice(claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: i64 = 1_531_420_618;
    const PUBLISHED: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn check(secrets: &[&str], timestamp: &[u8], signature: &[u8], body: &str, now: i64) -> Result<(), Refusal> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        let mut headers = HeaderMap::new();
        let mut insert = |name: &'static str, value: &[u8]| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        };
        insert("x-slack-request-timestamp", timestamp);
        insert("x-slack-signature", signature);
        verify(&secrets, &headers, body.as_bytes(), Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn the_published_vectors_pass() {
        let vectors = [
            (SECRET, PUBLISHED, SIGNED),
            (
                "fa2c05deeef5a4077494e89f54394de0",
                "test-body",
                "v0=baa91ef62d346e56607bbdd278a8acd570b91226854f15a382f43d33be42f666",
            ),
            (SECRET, "", "v0=55f41ec73231010289b54e669149ea021fccab11b5524355523533ce930cb739"),
        ];
        for (secret, body, signature) in vectors {
            assert_eq!(check(&[secret], b"1531420618", signature.as_bytes(), body, AT), Ok(()));
        }
    }

    #[test]
    fn another_body_secret_or_time_does_not_fit() {
        let mismatch = Err(Refusal::Mismatch);
        assert_eq!(check(&[SECRET], b"1531420618", SIGNED.as_bytes(), &format!("{PUBLISHED}------"), AT), mismatch);
        assert_eq!(check(&["another"], b"1531420618", SIGNED.as_bytes(), PUBLISHED, AT), mismatch);
        assert_eq!(check(&[], b"1531420618", SIGNED.as_bytes(), PUBLISHED, AT), mismatch);
        assert_eq!(check(&[SECRET], b"1531420619", SIGNED.as_bytes(), PUBLISHED, AT), mismatch);
        assert_eq!(check(&[SECRET], b"01531420618", SIGNED.as_bytes(), PUBLISHED, AT), mismatch);
    }

    #[test]
    fn either_of_two_secrets_fits() {
        assert_eq!(check(&["old", SECRET], b"1531420618", SIGNED.as_bytes(), PUBLISHED, AT), Ok(()));
        assert_eq!(check(&[SECRET, "new"], b"1531420618", SIGNED.as_bytes(), PUBLISHED, AT), Ok(()));
    }

    #[test]
    fn five_minutes_either_way_is_the_limit() {
        for (now, expected) in [
            (AT + 300, Ok(())),
            (AT - 300, Ok(())),
            (AT + 301, Err(Refusal::Stale)),
            (AT - 301, Err(Refusal::Stale)),
            (AT + 36_000, Err(Refusal::Stale)),
        ] {
            assert_eq!(check(&[SECRET], b"1531420618", SIGNED.as_bytes(), PUBLISHED, now), expected, "now {now}");
        }
    }

    #[test]
    fn a_time_that_is_no_number_is_refused_without_a_panic() {
        let big = "9".repeat(30);
        let bad: [&[u8]; 9] = [
            b"",
            b" ",
            b"x",
            b"123.5",
            b"-1531420618",
            b"+1531420618",
            b"-9223372036854775808",
            big.as_bytes(),
            b"\xff\xfe",
        ];
        for timestamp in bad {
            let result = check(&[SECRET], timestamp, SIGNED.as_bytes(), PUBLISHED, AT);
            assert_eq!(result, Err(Refusal::BadTimestamp), "{timestamp:?}");
        }
        assert_eq!(check(&[SECRET], b"9223372036854775807", SIGNED.as_bytes(), PUBLISHED, AT), Err(Refusal::Stale));
    }

    #[test]
    fn only_a_whole_v0_signature_is_one() {
        let hex = &SIGNED[3..];
        let long = format!("{SIGNED}00");
        let v1 = format!("v1={hex}");
        let bad = ["", "v0=", "v0=invalid-signature", hex, v1.as_str(), &long, &SIGNED[..66], "v0=\u{e4}"];
        for signature in bad {
            let result = check(&[SECRET], b"1531420618", signature.as_bytes(), PUBLISHED, AT);
            assert_eq!(result, Err(Refusal::BadSignature), "{signature:?}");
        }
    }

    #[test]
    fn missing_headers_are_refused() {
        let now = Timestamp::from_second(AT).unwrap();
        let secrets = [SecretString::from(SECRET)];
        let mut headers = HeaderMap::new();
        assert_eq!(verify(&secrets, &headers, b"", now), Err(Refusal::MissingTimestamp));
        headers.insert("x-slack-request-timestamp", HeaderValue::from_static("1531420618"));
        assert_eq!(verify(&secrets, &headers, b"", now), Err(Refusal::MissingSignature));
    }
}

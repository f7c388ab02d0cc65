//! Moments as text, quickly: a tree of ten thousand busy agents has a hundred thousand of them.
//!
//! The text is the one that jiff writes itself (RFC 3339 in UTC, as many digits of a second as there are), which a test holds
//! it to.

use jiff::Timestamp;
use serde::Serializer;

/// `2026-11-26T10:55:38.123456789Z`
const LONGEST: usize = 30;
const SECONDS_OF_A_DAY: i64 = 86_400;

/// Writes a moment.
pub(super) fn write<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let mut buffer = [0; LONGEST];
    match text(*at, &mut buffer) {
        Some(text) => serializer.serialize_str(text),
        None => serializer.collect_str(at),
    }
}

/// Writes a moment that may be missing.
pub(super) fn write_option<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => write(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// `None` for moments before 1970, which jiff may write.
fn text(at: Timestamp, buffer: &mut [u8; LONGEST]) -> Option<&str> {
    let (seconds, nanos) = (at.as_second(), u32::try_from(at.subsec_nanosecond()).ok()?);
    if seconds < 0 {
        return None;
    }
    let (year, month, day) = date(u32::try_from(seconds / SECONDS_OF_A_DAY).ok()?);
    let second = u32::try_from(seconds % SECONDS_OF_A_DAY).ok()?;
    digits(&mut buffer[0..4], year);
    digits(&mut buffer[5..7], month);
    digits(&mut buffer[8..10], day);
    digits(&mut buffer[11..13], second / 3600);
    digits(&mut buffer[14..16], second / 60 % 60);
    digits(&mut buffer[17..19], second % 60);
    for (index, mark) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')] {
        buffer[index] = mark;
    }
    let mut end = 19;
    if nanos > 0 {
        buffer[end] = b'.';
        digits(&mut buffer[20..29], nanos);
        end = 29;
        while buffer[end - 1] == b'0' {
            end -= 1;
        }
    }
    buffer[end] = b'Z';
    std::str::from_utf8(&buffer[..=end]).ok()
}

fn digits(into: &mut [u8], mut number: u32) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of the day with this number since the first of January 1970: Howard Hinnant's `civil_from_days`.
fn date(day: u32) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(at: Timestamp) -> String {
        let mut out = Vec::new();
        write(&at, &mut serde_json::Serializer::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_edges_are_as_jiff_has_them() {
        let edges = [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH, "2024-02-29T23:59:59.1Z".parse().unwrap()];
        for at in edges {
            assert_eq!(written(at), serde_json::to_string(&at).unwrap());
        }
    }

    proptest! {
        #[test]
        fn it_is_what_jiff_writes(
            seconds in prop_oneof![0_i64..253_402_207_200, -100_000_i64..100_000],
            nanos in prop_oneof![Just(0), 0_i32..1_000_000_000, (0_i32..1000).prop_map(|millis| millis * 1_000_000)],
        ) {
            let at = Timestamp::new(seconds, nanos).unwrap();
            prop_assert_eq!(written(at), serde_json::to_string(&at).unwrap());
        }
    }
}

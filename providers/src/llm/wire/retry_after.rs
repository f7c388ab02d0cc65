//! How long a server asks to wait: `retry-after-ms`, or `retry-after` as seconds (also broken ones) or as a date.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What the headers ask for at `now`, if they ask for anything that can be understood.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return seconds(millis / 1000.0);
    }
    let asked = text(RETRY_AFTER.as_str())?;
    if let Ok(number) = asked.parse::<f64>() {
        return seconds(number);
    }
    let at = rfc2822::parse(asked).ok()?.timestamp();
    // A date that has passed asks for no wait.
    seconds(at.duration_since(now).as_secs_f64())
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let now: Timestamp = "2026-11-23T07:00:00Z".parse().unwrap();
        let ask = |name: &'static str, value: &'static str| {
            retry_after(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]), now)
        };
        assert_eq!(ask("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(ask("retry-after", "0.25"), Some(Duration::from_millis(250)));
        assert_eq!(ask("retry-after-ms", "1500"), Some(Duration::from_millis(1500)));
        assert_eq!(ask("retry-after", "Mon, 23 Nov 2026 07:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(ask("retry-after", "Mon, 23 Nov 2026 06:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(ask("retry-after", "-3"), Some(Duration::ZERO));
        for nonsense in ["soon", "", "NaN", "1e300"] {
            assert!(ask("retry-after", nonsense).is_none_or(|wait| wait.is_zero()), "{nonsense:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}

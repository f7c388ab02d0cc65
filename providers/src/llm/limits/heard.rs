//! What a server tells of its limits in the headers of every answer.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Left {
    pub(super) limit: f64,
    pub(super) remaining: f64,
    /// Until all of it is there again.
    pub(super) reset: Duration,
}

/// Requests and tokens, as far as the headers tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) requests: Option<Left>,
    pub(super) tokens: Option<Left>,
}

/// Reads OpenAI's names (`x-ratelimit-remaining-requests`) and Anthropic's (`anthropic-ratelimit-requests-remaining`).
pub(super) fn heard(headers: &HeaderMap, now: Timestamp) -> Heard {
    let openai = |what| left(headers, now, |part| format!("x-ratelimit-{part}-{what}"));
    let anthropic = |what| left(headers, now, |part| format!("anthropic-ratelimit-{what}-{part}"));
    // Most servers tell nothing, and then nothing is looked up by name.
    if !headers.keys().any(|name| name.as_str().contains("ratelimit")) {
        return Heard::default();
    }
    Heard {
        requests: openai("requests").or_else(|| anthropic("requests")),
        tokens: openai("tokens").or_else(|| anthropic("tokens")),
    }
}

fn left(headers: &HeaderMap, now: Timestamp, name: impl Fn(&str) -> String) -> Option<Left> {
    let text = |part| headers.get(name(part))?.to_str().ok();
    let number = |part| text(part)?.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let (limit, remaining) = (number("limit")?, number("remaining")?);
    let reset = text("reset").and_then(|text| moment(text.trim(), now))?;
    // A limit of nothing is no limit that can be kept to.
    (limit >= 1.0).then_some(Left { limit, remaining: remaining.min(limit), reset })
}

/// A time from now, as OpenAI writes it (`1s`, `6m0s`, `8ms`, seconds), or a point in time, as Anthropic does.
fn moment(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.duration_since(now).try_into().unwrap_or_default());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..unit_at].parse().ok()?;
        let after = &rest[unit_at..];
        let unit = &after[..after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len())];
        let seconds = match unit {
            "ms" => number / 1000.0,
            "s" => number,
            "m" => number * 60.0,
            "h" => number * 3600.0,
            "d" => number * 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = &after[unit.len()..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn both_vendors_are_understood() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let openai = headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "30000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6m0.5s"),
        ]);
        let left = |limit, remaining, millis| Some(Left { limit, remaining, reset: Duration::from_millis(millis) });
        assert_eq!(
            heard(&openai, now),
            Heard { requests: left(500.0, 499.0, 120), tokens: left(30000.0, 0.0, 360_500) }
        );
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-26T12:00:30Z"),
        ]);
        assert_eq!(heard(&anthropic, now), Heard { requests: left(50.0, 0.0, 30_000), tokens: None });
    }

    #[test]
    fn nonsense_is_no_limit() {
        let now = Timestamp::now();
        assert_eq!(heard(&HeaderMap::new(), now), Heard::default());
        for reset in ["soon", "-1", "1x", "NaN", ""] {
            let told = headers(&[
                ("x-ratelimit-limit-requests", "1"),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", reset),
            ]);
            // An empty time is no time: nothing to wait for.
            assert!(heard(&told, now).requests.is_none_or(|left| left.reset.is_zero()), "{reset:?}");
        }
    }
}

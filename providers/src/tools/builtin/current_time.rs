//! `current_time`: tells the date and time. On a resume the answer comes from the journal, so a run sees one time.

use greenroom_contract::{
    Clock,
    execution::Effect,
    port::tool::{Answer, ToolSpec},
};
use jiff::{fmt::strtime, tz::TimeZone};
use serde_json::{Value, json};

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: "current_time".to_owned(),
        description: "Tells the present date, time and weekday.".to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "timezone": { "type": "string", "description": "IANA time zone, like Europe/London; UTC if absent." }
            },
            "additionalProperties": false
        }),
        effect: Effect::None,
    }
}

pub(super) fn call(input: &Value, clock: &dyn Clock) -> Answer {
    let name = input.get("timezone").and_then(Value::as_str).filter(|name| !name.is_empty()).unwrap_or("UTC");
    let Ok(zone) = TimeZone::get(name) else {
        return Answer::error(format!("there is no time zone {name:?}; write it like Europe/London"));
    };
    let now = clock.now().to_zoned(zone);
    let weekday = strtime::format("%A", &now).unwrap_or_default();
    let told = json!({
        "time": strtime::format("%Y-%m-%dT%H:%M:%S%:z", &now).unwrap_or_else(|_| now.to_string()),
        "weekday": weekday,
        "timezone": name,
    });
    Answer::text(told.to_string())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            "2026-07-01T22:30:00Z".parse().unwrap()
        }
    }

    #[test]
    fn the_time_is_told_in_the_zone_asked_for() {
        let told = |input| serde_json::from_str::<Value>(&call(&input, &Stopped).content).unwrap();
        let utc = json!({ "time": "2026-07-01T22:30:00+00:00", "weekday": "Wednesday", "timezone": "UTC" });
        assert_eq!(told(json!({})), utc);
        let tokyo = json!({ "time": "2026-07-02T07:30:00+09:00", "weekday": "Thursday", "timezone": "Asia/Tokyo" });
        assert_eq!(told(json!({ "timezone": "Asia/Tokyo" })), tokyo);
        assert!(call(&json!({ "timezone": "Mars/Olympus" }), &Stopped).is_error);
    }
}

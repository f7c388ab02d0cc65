//! The syntax of cron expressions: five fields, or six with seconds first.

use croner::parser::{CronParser, Seconds, Year};

/// A field: its name, its bounds, the names that stand for numbers, and what else it may hold.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
    /// `L` (last) and `W` (nearest weekday) in the day; `L` and `#` in the weekday.
    marks: &'static str,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 6] = [
    Field { name: "second", least: 0, most: 59, names: &[], marks: "" },
    Field { name: "minute", least: 0, most: 59, names: &[], marks: "" },
    Field { name: "hour", least: 0, most: 23, names: &[], marks: "" },
    Field { name: "day", least: 1, most: 31, names: &[], marks: "LW" },
    Field { name: "month", least: 1, most: 12, names: &MONTHS, marks: "" },
    Field { name: "weekday", least: 0, most: 7, names: &DAYS, marks: "L#" },
];

/// The longest day of each month, in a leap year.
const LONGEST: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// How expressions are read, here and wherever their times are computed.
pub fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).sloppy_ranges(true).build()
}

/// Checks an expression; the error says which field is wrong and why.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let parts: Vec<&str> = expression.split_whitespace().collect();
    let skipped = match parts.len() {
        5 => 1,
        6 => 0,
        count => {
            return Err(format!(
                "has {count} fields; write five (minute hour day month weekday) or six (seconds first), \
                 for example \"0 9 * * MON-FRI\""
            ));
        }
    };
    let mut sets = Vec::with_capacity(6);
    for (field, part) in FIELDS.iter().skip(skipped).zip(&parts) {
        sets.push(field.check(part).map_err(|fault| format!("{} {part:?}: {fault}", field.name))?);
    }
    let (days, months) = (sets[parts.len() - 3], sets[parts.len() - 2]);
    let any_weekday = parts.last().is_some_and(|part| matches!(*part, "*" | "?"));
    let comes = (1..=12).any(|month| (months >> month) & 1 == 1 && days & ((1 << (LONGEST[month - 1] + 1)) - 1) != 0);
    if any_weekday && !comes {
        return Err("never fires: none of its months has such a day".to_owned());
    }
    // Who will compute the times has the last word.
    parser().parse(expression).map(drop).map_err(|error| format!("cannot be computed: {error}"))
}

impl Field {
    /// The values that the field allows, as bits.
    fn check(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |set, item| Ok(set | self.item(item)?))
    }

    fn item(&self, item: &str) -> Result<u64, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let step = match step.map(str::parse::<usize>) {
            None => 1,
            Some(Ok(step)) if step > 0 => step,
            Some(_) => return Err("after `/` stands a whole number from 1".to_owned()),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || (range == "?" && !self.marks.is_empty()) => (self.least, self.most),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if self.marked(range)? => return Ok(u64::MAX),
            None if item.contains('/') => (self.value(range)?, self.most),
            None => (self.value(range)?, self.value(range)?),
        };
        if first > last {
            return Err(format!("the range {range} runs backwards; write it as two, with a comma"));
        }
        Ok((first..=last).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    /// Whether a word uses one of the field's marks rightly: `L`, `LW`, `15W` for a day; `L`, `5L`, `MON#2` for a
    /// weekday.
    fn marked(&self, word: &str) -> Result<bool, String> {
        let upper = word.to_ascii_uppercase();
        if self.marks.is_empty() {
            return Ok(false);
        }
        if upper == "L" || (upper == "LW" && self.marks == "LW") {
            return Ok(true);
        }
        let (before, after) = match (upper.split_once('#'), self.marks) {
            (Some((day, nth)), "L#") => (day, nth),
            (None, "L#") if upper.ends_with('L') => (upper.trim_end_matches('L'), "L"),
            (None, "LW") if upper.ends_with('W') => (upper.trim_end_matches('W'), "L"),
            _ => return Ok(false),
        };
        self.value(before)?;
        if matches!(after, "1" | "2" | "3" | "4" | "5" | "L") {
            Ok(true)
        } else {
            Err("after `#` stands 1 to 5".to_owned())
        }
    }

    fn value(&self, word: &str) -> Result<u32, String> {
        let upper = word.to_ascii_uppercase();
        if let Some(at) = self.names.iter().position(|name| *name == upper) {
            // Months count from 1, days of the week from 0: as the fields' bounds say.
            return Ok(at as u32 + self.least);
        }
        match word.parse::<u32>() {
            Ok(value) if (self.least..=self.most).contains(&value) => Ok(value),
            Ok(value) => Err(format!("{value} is not within {} to {}", self.least, self.most)),
            Err(_) if self.names.is_empty() => Err(format!("{word:?} is not a number")),
            Err(_) => Err(format!("{word:?} is neither a number nor one of {}", self.names.join(" "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn expressions_in_use_are_taken() {
        for good in [
            "* * * * *",
            "0 9 * * MON-FRI",
            "*/15 * * * *",
            "0 0 1,15 * ?",
            "30 0 9 * * mon",
            "0 12 L * *",
            "0 12 15W * *",
            "0 12 * * 5L",
            "0 12 * * MON#2",
            "0 0 29 2 *",
            "0 0 31 1-12/2 *",
            "5/10 8-18 * JAN-MAR 0,7",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn wrong_ones_say_which_field_and_why() {
        for (bad, why) in [
            ("", "has 0 fields"),
            ("* * * *", "has 4 fields"),
            ("* * * * * * *", "has 7 fields"),
            ("60 * * * *", "minute \"60\": 60 is not within 0 to 59"),
            ("0 25 * * *", "hour \"25\": 25 is not within 0 to 23"),
            ("0 9 0 * *", "day \"0\""),
            ("0 9 * 13 *", "month \"13\""),
            ("0 9 * * FUN", "weekday \"FUN\": \"FUN\" is neither a number nor one of SUN"),
            ("*/0 * * * *", "after `/` stands a whole number from 1"),
            ("10-5 * * * *", "runs backwards"),
            ("0 9 * * MON#6", "after `#` stands 1 to 5"),
            ("0 0 31 2 *", "never fires"),
            ("0 0 30,31 2 ?", "never fires"),
            ("a * * * *", "minute \"a\": \"a\" is not a number"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains(why), "{bad:?} says {error:?}");
        }
    }
}

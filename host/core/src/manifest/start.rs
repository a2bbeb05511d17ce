//! `start`: where a handler begins when it is deployed for the first time.

use toml::de::DeValue;
use toml::value::{Date, Datetime, Offset};

use super::Start;
use crate::config::{Code, Table};

pub(super) fn read(root: &Table<'_>) -> Option<Start> {
    let start = match root.get("start")?.get_ref() {
        DeValue::String(text) => from_text(text),
        DeValue::Datetime(time) => since_1970_ms(time).map(Start::TimeMs),
        DeValue::Integer(_) => {
            // The broker counts sequences from 1; TOML's largest number bounds them.
            return root
                .whole("start", 1..=i64::MAX.unsigned_abs())
                .map(Start::Sequence);
        }
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    if start.is_none() {
        let message = "`start` is no place in a stream";
        let remedy = "write \"new\", \"all\", a sequence such as 1200, \
                      or a time such as \"2026-01-31T08:00:00Z\"";
        root.problem("start", Code::BadValue, message, remedy);
    }
    start
}

fn from_text(text: &str) -> Option<Start> {
    match text {
        "new" => Some(Start::New),
        "all" => Some(Start::All),
        _ => since_1970_ms(&text.parse().ok()?).map(Start::TimeMs),
    }
}

/// None: the time has no date, no time of day or no offset, or lies before 1970.
fn since_1970_ms(at: &Datetime) -> Option<u64> {
    let (date, time) = (at.date?, at.time?);
    let offset_minutes = match at.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let minutes = (days_since_1970(date) * 24 + i64::from(time.hour)) * 60 + i64::from(time.minute);
    let seconds = (minutes - offset_minutes) * 60 + i64::from(time.second.unwrap_or(0));
    let ms = seconds * 1000 + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    u64::try_from(ms).ok()
}

/// Days of the Gregorian calendar; years are counted from March, so that the
/// leap day is the last of its year.
fn days_since_1970(date: Date) -> i64 {
    let (year, month, day) = (
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    );
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let in_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + in_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_milliseconds_since_1970() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500)),
            ("2026-11-21T14:00:00+02:00", Some(1_795_262_400_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-21T14:00:00", None),
            ("2026-11-21", None),
        ];
        for (text, expected) in cases {
            assert_eq!(since_1970_ms(&text.parse().unwrap()), expected, "{text}");
        }
    }
}

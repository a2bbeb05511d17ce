//! What a handler has from outside: needs, settings, secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::{ConfigKey, NeedPolicy, OnUnknown, RecordCalls, SecretKey, StatusSet};
use crate::config::names::{self, Form, HEADER, LABEL, SETTING};
use crate::config::{Code, Table, integer_value};

const NEEDS_MAX: usize = 32;
const SETTINGS_MAX: usize = 128;

pub(super) fn needs(table: &Table<'_>) -> BTreeMap<String, NeedPolicy> {
    named(table, NEEDS_MAX, &LABEL, need)
}

pub(super) fn config(table: &Table<'_>) -> BTreeMap<String, ConfigKey> {
    named(table, SETTINGS_MAX, &SETTING, |key| ConfigKey {
        default: key.text("default", 0..=4096).map(str::to_owned),
        required: key.flag("required").unwrap_or(false),
    })
}

pub(super) fn secrets(table: &Table<'_>) -> BTreeMap<String, SecretKey> {
    named(table, SETTINGS_MAX, &SETTING, |key| SecretKey {
        required: key.flag("required").unwrap_or(true),
    })
}

/// Reads tables under names that the author chose.
pub(super) fn named<T>(
    table: &Table<'_>,
    max: usize,
    form: &Form,
    read: impl Fn(&Table<'_>) -> T,
) -> BTreeMap<String, T> {
    table.at_most(max);
    let mut all = BTreeMap::new();
    for (name, inner) in table.named_tables() {
        table.name_fits(&name, form);
        all.insert(name.value.to_owned(), read(&inner));
    }
    all
}

fn need(table: &Table<'_>) -> NeedPolicy {
    let header = idempotency_header(table);
    let on_unknown = table.choice(
        "on_unknown",
        &[("retry", OnUnknown::Retry), ("park", OnUnknown::Park)],
    );
    // Sending again is safe only where the need can tell the second from the first.
    let by_default = if header.is_some() {
        OnUnknown::Retry
    } else {
        OnUnknown::Park
    };
    let timeout = Duration::from_millis(1)..=Duration::from_hours(1);
    let ttl = Duration::from_secs(1)..=Duration::from_hours(24 * 365);
    NeedPolicy {
        timeout: table
            .duration("timeout", timeout)
            .unwrap_or(Duration::from_secs(5)),
        required: table.flag("required").unwrap_or(true),
        failure_status: failure_status(table).unwrap_or_default(),
        idempotency_header: header,
        idempotency_ttl: table
            .duration("idempotency_ttl", ttl)
            .unwrap_or(Duration::from_hours(24)),
        on_unknown: on_unknown.unwrap_or(by_default),
        record_calls: record_calls(table).unwrap_or(RecordCalls::Shadow),
    }
}

fn record_calls(table: &Table<'_>) -> Option<RecordCalls> {
    let options = [
        ("off", RecordCalls::Off),
        ("shadow", RecordCalls::Shadow),
        ("all", RecordCalls::All),
    ];
    let chosen = table.choice("record_calls", &options)?;
    let message = format!(
        "`{}` does nothing yet: no call is recorded",
        table.path_of("record_calls")
    );
    table.problem("record_calls", Code::NotBuiltYet, message, "remove the key");
    Some(chosen)
}

fn idempotency_header(table: &Table<'_>) -> Option<String> {
    let name = table
        .name("idempotency_header", &HEADER)?
        .to_ascii_lowercase();
    if names::is_request_header(&name) {
        let message = format!("`{name}` is a header that the host sets itself");
        table.problem(
            "idempotency_header",
            Code::ReservedName,
            message,
            "name the header that the need reads keys from",
        );
    }
    Some(name)
}

fn failure_status(table: &Table<'_>) -> Option<StatusSet> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for item in table.list("failure_status", 0..=64)? {
        let Some((from, to)) = status_range(item.get_ref()) else {
            let message = format!(
                "an element of `{}` is no failure",
                table.path_of("failure_status")
            );
            let remedy = "write a status from 300 to 599, or \"3xx\", \"4xx\" or \"5xx\"";
            table.problem_at(&item.span(), Code::BadValue, message, remedy);
            continue;
        };
        if ranges.iter().any(|range| from <= range.1 && range.0 <= to) {
            let message = format!("`{}` names a status twice", table.path_of("failure_status"));
            table.problem_at(
                &item.span(),
                Code::Duplicate,
                message,
                "remove what another element covers",
            );
        }
        ranges.push((from, to));
    }
    ranges.sort_unstable();
    Some(StatusSet(ranges))
}

/// Informational and successful answers cannot be failures.
fn status_range(value: &DeValue<'_>) -> Option<(u16, u16)> {
    let status = match value {
        DeValue::String(text) => match text.as_ref() {
            "3xx" => return Some((300, 399)),
            "4xx" => return Some((400, 499)),
            "5xx" => return Some((500, 599)),
            digits => digits.parse().ok()?,
        },
        DeValue::Integer(integer) => u16::try_from(integer_value(integer)).ok()?,
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return None,
    };
    (300..=599).contains(&status).then_some((status, status))
}

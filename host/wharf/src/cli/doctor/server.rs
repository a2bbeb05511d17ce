//! The server itself: version, limits, clock.

use serde::Deserialize;
use wharf_core::config::units::format_size;
use wharf_jetstream::api::{Api, stamp};
use wharf_jetstream::capabilities::{self, Account};
use wharf_jetstream::catalog::Catalog;
use wharf_jetstream::connection::Connection;

use super::finding::{Finding, advice, bad, good};
use crate::cli::failure::Failure;
use crate::cli::provision::capable;
use crate::clock;

/// Beyond this timers are noticeably early or late.
const CLOCK_MS_MAX: u64 = 1_000;
/// At this share of its limit an account is nearly full.
const NEARLY_FULL_PERCENT: u64 = 80;

/// Version, JetStream, message size. None: it cannot serve, and nothing else
/// can be asked.
pub async fn look(
    connection: &Connection,
    findings: &mut Vec<Finding>,
) -> Result<Option<Account>, Failure> {
    let capabilities = capabilities::probe(connection).await?;
    let cluster = capabilities
        .cluster
        .as_ref()
        .map_or_else(String::new, |name| format!(", cluster {name}"));
    let server = format!("nats-server {}{cluster}", capabilities.version);
    match capable(&capabilities) {
        Err(Failure {
            code,
            message,
            remedy,
            ..
        }) => {
            findings.push(bad("server", code, format!("{server}: {message}"), remedy));
            Ok(None)
        }
        Ok(account) => {
            let payload = format_size(capabilities.max_payload);
            let level = account.api_level;
            findings.push(good(
                "server",
                format!("{server}, API level {level}, messages up to {payload}"),
            ));
            Ok(Some(account))
        }
    }
}

/// What the account may have.
pub fn limits(account: &Account) -> Vec<Finding> {
    let used = rough(account.storage_bytes);
    let mut findings = vec![match account.storage_bytes_max {
        None => good("limits", format!("{used} stored, no limit of the account")),
        Some(max) => {
            let fact = format!("{used} of {} stored", rough(max));
            let full = u128::from(account.storage_bytes) * 100
                >= u128::from(max) * u128::from(NEARLY_FULL_PERCENT);
            match full {
                false => good("limits", fact),
                true => advice(
                    "limits",
                    fact,
                    "raise the account's storage, or remove streams that nobody needs",
                ),
            }
        }
    }];
    for (what, has, max) in [
        ("streams", account.streams, account.streams_max),
        ("consumers", account.consumers, account.consumers_max),
    ] {
        if let Some(max) = max {
            findings.push(good("limits", format!("{has} of {max} {what}")));
        }
    }
    if account.max_bytes_required {
        findings.push(advice(
            "limits",
            "the account demands a limit of bytes on every stream",
            "lift max_bytes_required: schedules are never dropped, so timer streams have none",
        ));
    }
    findings
}

/// How far the broker's clock is from this machine's.
pub async fn clock(api: &Api, catalog: &Catalog) -> Result<Option<Finding>, Failure> {
    #[derive(Deserialize)]
    struct Stamped {
        ts: Option<String>,
    }
    let Some(stream) = catalog.streams().next() else {
        return Ok(None);
    };
    let path = format!("STREAM.INFO.{}", stream.config.name);
    let before = clock::now_ms();
    let answer: Stamped = api.call(&path, &serde_json::json!({})).await?;
    let after = clock::now_ms();
    let Some(there_ns) = answer.ts.as_deref().and_then(stamp::parse) else {
        return Ok(None);
    };
    let here = before.midpoint(after);
    let apart = here.abs_diff(there_ns / 1_000_000);
    let fact = format!("the broker's clock and this machine's are {apart} ms apart");
    Ok(Some(match apart <= CLOCK_MS_MAX + (after - before) {
        true => good("clock", fact),
        false => advice(
            "clock",
            fact,
            "synchronise both (chrony, ntpd): timers fire that much early or late",
        ),
    }))
}

/// A size in the largest unit of which there are at least ten.
fn rough(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= 10 * unit) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_a_unit_of_which_there_are_ten() {
        let cases = [
            (0, "0 B"),
            (10_239, "10239 B"),
            (27_546, "26 KiB"),
            (50 << 30, "50 GiB"),
        ];
        for (bytes, said) in cases {
            assert_eq!(rough(bytes), said);
        }
    }
}

//! The yardstick itself works: a short slice of it measures every row, and says
//! so in JSON. What it measures here says nothing, the machine being busy with
//! other tests.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROWS: [&str; 23] = [
    "fresh instance: bare loop",
    "fresh instance: wharf",
    "reused instance: bare loop",
    "reused instance: wharf",
    "publish with id",
    "compare-and-set, a subject each",
    "pull and acknowledge",
    "at-least-once: twin",
    "at-least-once: wharf",
    "at-least-once: wharf, spans on",
    "effect-once, no order: twin",
    "effect-once, no order: wharf",
    "effect-once, no order: wharf, spans on",
    "effect-once by key: twin",
    "effect-once by key: wharf",
    "effect-once by key: wharf, spans on",
    "at-least-once at 200/s: twin",
    "at-least-once at 200/s: wharf",
    "effect-once, no order at 200/s: twin",
    "effect-once, no order at 200/s: wharf",
    "effect-once by key at 200/s: twin",
    "effect-once by key at 200/s: wharf",
    "50 orders",
];

#[test]
fn a_short_slice_measures_every_row_and_writes_it_as_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("bench.json");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("--quick")
        .arg("--json")
        .arg(&json)
        .output()
        .expect("the yardstick runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let report = read(&json);
    let table = String::from_utf8_lossy(&output.stdout);
    for wanted in ROWS {
        let row = rows(&report).find(|row| row["name"] == wanted);
        let row = row.unwrap_or_else(|| panic!("no row `{wanted}`:\n{table}"));
        let median = row["median"].as_f64().expect("a number");
        assert!(median > 0.0, "{row}");
        assert!(table.contains(wanted), "{wanted} is not in\n{table}");
    }
    let checks = report["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), 8, "{checks:?}");
}

#[test]
fn a_bound_that_does_not_hold_fails_only_when_it_is_checked() {
    // No machine comes to ten thousand orders a minute within one order.
    let shop = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
        command.args(["--only", "shop", "--orders", "1", "--runs", "1"]);
        command.args(flags).output().expect("the yardstick runs")
    };
    assert_eq!(shop(&[]).status.code(), Some(0));
    let checked = shop(&["--check"]);
    assert_eq!(checked.status.code(), Some(1));
    let table = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(table.contains("BROKEN"), "{table}");
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("was written");
    serde_json::from_str(&text).expect("is JSON")
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    report["rows"].as_array().expect("rows").iter()
}

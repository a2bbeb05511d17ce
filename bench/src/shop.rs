//! The shop, end to end: all five handlers, with broker, gateways and load on
//! the same machine, as `wharf demo` runs it.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;
use wharf_demo::process::free_port;

use crate::report::{Bound, Check, Report, Row};
use crate::say;

const ROWS: &str = "shop";
const ORDERS_A_MINUTE_MIN: f64 = 10_000.0;

/// How many orders, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    pub wharf: PathBuf,
    /// Folder with the shop's bundles.
    pub handlers: PathBuf,
    pub orders: u32,
    /// Orders a second that are placed; 0: as fast as the broker takes them.
    pub rate: f64,
    pub runs: usize,
}

#[derive(Deserialize)]
struct Outcome {
    balanced: bool,
    orders_per_second: f64,
    events_per_second: f64,
}

/// The row, and the bound on it.
///
/// # Errors
/// When a run does not balance.
pub async fn measure(plan: &Plan, report: &mut Report) -> Result<()> {
    let mut outcomes = Vec::new();
    for run in 1..=plan.runs {
        say(&format!("shop, run {run} of {}", plan.runs));
        outcomes.push(once(plan).await?);
    }
    let of = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).collect::<Vec<f64>>();
    let row = Row::new(
        ROWS,
        format!("{} orders", plan.orders),
        "orders/min",
        of(|outcome| outcome.orders_per_second * 60.0),
    )
    .detail("events/s", &of(|outcome| outcome.events_per_second));
    let bound = Bound::AtLeast(ORDERS_A_MINUTE_MIN);
    let check = Check::new("orders a minute through the shop", bound, Some(row.median));
    report.checks.push(check);
    report.rows.push(row);
    Ok(())
}

async fn once(plan: &Plan) -> Result<Outcome> {
    let folder = TempDir::with_prefix("wharf-bench-shop-")?;
    let mut command = Command::new(&plan.wharf);
    command
        .arg("demo")
        .args(["--orders", &plan.orders.to_string()])
        .args(["--rate", &plan.rate.to_string()])
        .args(["--stock", "1000000", "-o", "json"])
        .args(["--nats-port", &free_port()?.to_string()])
        .args(["--http-port", &free_port()?.to_string()])
        .args(["--gateway-port", &free_port()?.to_string()])
        .arg("--data")
        .arg(folder.path().join("demo"))
        .arg("--handlers")
        .arg(&plan.handlers)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = command.output().await.context("running the shop")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the shop failed:\n{said}");
    let outcome: Outcome = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the shop's report:\n{said}"))?;
    ensure!(outcome.balanced, "the shop does not balance");
    Ok(outcome)
}

//! One call of the guest: a bare wasmtime loop beside `Runtime::invoke`.
//!
//! Both run the same component in the same engine, on one thread.

mod bare;
mod ours;

use std::time::Instant;

use anyhow::Result;

use crate::pipeline::{Instance, event};
use crate::report::{Bound, Check, Report, Row};
use crate::say;

const ROWS: &str = "invoke";
/// The one bound that is stated for a single call.
const FRESH_MAX: f64 = 1.25;

/// How often each is called in a sample, and how many samples.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub calls: u32,
    pub runs: usize,
}

/// All rows, and the bound on the fresh one.
///
/// # Errors
/// When the component does not load, or a call does not emit what it was given.
pub async fn measure(plan: Plan, component: &[u8], report: &mut Report) -> Result<()> {
    for instance in [Instance::Fresh, Instance::Reuse] {
        let name = match instance {
            Instance::Fresh => "fresh instance",
            Instance::Reuse => "reused instance",
        };
        say(&format!("invoke, {name}"));
        let ours = ours::Ours::load(component, instance).await?;
        let mut bare = bare::Bare::load(ours.engine(), component, instance)?;
        let (mut by_hand, mut by_us) = (Vec::new(), Vec::new());
        for _ in 0..plan.runs {
            by_hand.push(timed(plan.calls, async || bare.call().await).await?);
            by_us.push(timed(plan.calls, async || ours.call().await).await?);
        }
        let by_hand = Row::new(ROWS, format!("{name}: bare loop"), "µs", by_hand);
        let by_us = Row::new(ROWS, format!("{name}: wharf"), "µs", by_us).against(&by_hand);
        if instance == Instance::Fresh {
            let what = "a call with a fresh instance against the bare loop";
            let bound = Bound::AtMost(FRESH_MAX);
            report
                .checks
                .push(Check::new(what, bound, by_us.median_ratio()));
        }
        report.rows.extend([by_hand, by_us]);
    }
    Ok(())
}

/// Microseconds a call, after as many calls again of warming up as a tenth.
async fn timed(calls: u32, mut call: impl AsyncFnMut() -> Result<usize>) -> Result<f64> {
    for _ in 0..calls / 10 {
        call().await?;
    }
    let began = Instant::now();
    for _ in 0..calls {
        let emitted = call().await?;
        anyhow::ensure!(emitted == event::DATA_BYTES, "{emitted} bytes were emitted");
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}

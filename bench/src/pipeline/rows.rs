//! The rows of the pipeline, taken in turn so that each ratio is of neighbours.

use anyhow::Result;

use super::stage::Stage;
use super::{Delivery, Drained, Instance, Paced, Programs, Promise, Worker, drain, event, pace};
use crate::report::{Bound, Check, Report, Row};
use crate::say;
use crate::sink::Sink;
use crate::twin::{Writes, raw};

/// What is measured, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    pub events: u64,
    pub runs: usize,
    pub instance: Instance,
    /// Twins that write less than the host.
    pub lean_twins: bool,
    /// Events a second of a pace.
    pub rate: f64,
    /// Events of a pace.
    pub paced_events: u64,
    pub promises: Vec<Promise>,
    pub spans: bool,
}

const ROWS: &str = "pipeline";
const PACES: &str = "critical time";
const RAW: &str = "raw operations by hand";

/// All rows, and the bounds on them.
///
/// # Errors
/// When a row does not end with every event emitted once.
pub async fn measure(plan: &Plan, programs: &Programs, report: &mut Report) -> Result<()> {
    for promise in &plan.promises {
        drains(plan, programs, *promise, report).await?;
    }
    for promise in &plan.promises {
        paces(plan, programs, *promise, report).await?;
    }
    Ok(())
}

async fn drains(
    plan: &Plan,
    programs: &Programs,
    promise: Promise,
    report: &mut Report,
) -> Result<()> {
    let (mut twins, mut ours, mut traced) = (Vec::new(), Vec::new(), Vec::new());
    let sink = match plan.spans {
        true => Some(Sink::start().await?),
        false => None,
    };
    for run in 1..=plan.runs {
        say(&format!("{}, run {run} of {}", name(promise), plan.runs));
        let own = drain(host(plan, programs, promise, None), plan.events).await?;
        twins.push(drain(twin(plan, promise, own.record_bytes), plan.events).await?);
        ours.push(own);
        if let Some(sink) = &sink {
            let worker = host(plan, programs, promise, Some(sink));
            traced.push(drain(worker, plan.events).await?);
        }
    }
    let twin = drain_row(format!("{}: twin", name(promise)), &twins);
    let own = drain_row(format!("{}: wharf", name(promise)), &ours).against(&twin);
    report.checks.extend(drain_check(promise, plan, &own));
    if let Some(sink) = sink {
        let traced = drain_row(format!("{}: wharf, spans on", name(promise)), &traced);
        let traced = traced.against(&own);
        // Without a span that arrived, nothing was measured.
        let ratio = traced.median_ratio().filter(|_| sink.received_bytes() > 0);
        let what = format!("{}: spans on against off", name(promise));
        let check = Check::new(what, Bound::AtLeast(0.85), ratio);
        report.rows.extend([twin, own, traced]);
        report.checks.push(check);
    } else {
        report.rows.extend([twin, own]);
    }
    Ok(())
}

fn drain_row(name: String, samples: &[Drained]) -> Row {
    let of = |value: fn(&Drained) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    let records = samples.iter().filter_map(|sample| sample.record_bytes);
    let records: Vec<f64> = records.map(|bytes| bytes as f64).collect();
    Row::new(ROWS, name, "events/s", of(|sample| sample.per_second))
        .detail("server µs", &of(|sample| sample.server_us))
        .detail("worker µs", &of(|sample| sample.worker_us))
        .detail("record B", &records)
}

/// The bounds are stated for a fresh instance with each event.
fn drain_check(promise: Promise, plan: &Plan, own: &Row) -> Option<Check> {
    let bound = match promise {
        Promise::AtLeastOnce => 0.4,
        Promise::EffectOnce | Promise::EffectOnceByKey => 0.45,
    };
    let what = format!("{} against its twin", name(promise));
    (plan.instance == Instance::Fresh)
        .then(|| Check::new(what, Bound::AtLeast(bound), own.median_ratio()))
}

async fn paces(
    plan: &Plan,
    programs: &Programs,
    promise: Promise,
    report: &mut Report,
) -> Result<()> {
    let (mut twins, mut ours) = (Vec::new(), Vec::new());
    for run in 1..=plan.runs {
        let rate = plan.rate;
        say(&format!(
            "{} at {rate}/s, run {run} of {}",
            name(promise),
            plan.runs
        ));
        let worker = host(plan, programs, promise, None);
        ours.push(pace(worker, plan.paced_events, rate).await?);
        twins.push(pace(twin(plan, promise, None), plan.paced_events, rate).await?);
    }
    let name = format!("{} at {}/s", name(promise), plan.rate);
    let twin = pace_row(format!("{name}: twin"), &twins);
    let own = pace_row(format!("{name}: wharf"), &ours).against(&twin);
    report.rows.extend([twin, own]);
    Ok(())
}

fn pace_row(name: String, samples: &[Paced]) -> Row {
    let of = |value: fn(&Paced) -> f64| samples.iter().map(value).collect::<Vec<f64>>();
    Row::new(PACES, name, "ms p50", of(|sample| sample.p50_ms))
        .detail("p99 ms", &of(|sample| sample.p99_ms))
}

/// Single operations, so that a reader can judge the twins.
///
/// # Errors
/// When the broker refuses one.
pub async fn raw_rows(plan: &Plan, report: &mut Report) -> Result<()> {
    let (mut publish, mut writes, mut pulls) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=plan.runs {
        say(&format!("raw operations, run {run} of {}", plan.runs));
        let stage = Stage::by_hand().await?;
        let url = stage.nats.url();
        publish.push(raw::publish(&url, plan.events).await?);
        pulls.push(raw::pull_and_ack(&url, plan.events).await?);
        writes.push(raw::compare_and_set(&url, plan.events, event::DATA_BYTES).await?);
    }
    let row = |name: &str, samples| Row::new(RAW, name, "/s", samples);
    report.rows.extend([
        row("publish with id", publish),
        row("compare-and-set, a subject each", writes),
        row("pull and acknowledge", pulls),
    ]);
    Ok(())
}

/// The same work, with records as large as the host's (`seen`), unless the plan
/// wants them lean.
fn twin(plan: &Plan, promise: Promise, seen: Option<usize>) -> Worker<'static> {
    let seen = seen.filter(|_| !plan.lean_twins);
    let writes = Writes {
        record_bytes: seen.unwrap_or(event::DATA_BYTES),
        attributes: !plan.lean_twins,
    };
    Worker::Twin {
        twin: promise.twin(),
        writes,
    }
}

fn host<'a>(
    plan: &Plan,
    programs: &'a Programs,
    promise: Promise,
    spans: Option<&'a Sink>,
) -> Worker<'a> {
    Worker::Host {
        programs,
        delivery: Delivery {
            promise,
            instance: plan.instance,
        },
        spans,
    }
}

fn name(promise: Promise) -> &'static str {
    match promise {
        Promise::AtLeastOnce => "at-least-once",
        Promise::EffectOnce => "effect-once, no order",
        Promise::EffectOnceByKey => "effect-once by key",
    }
}

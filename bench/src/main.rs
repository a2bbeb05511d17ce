//! The yardstick: what Wharf costs, beside the same work by hand.
//!
//! Part of the project and not of the product: it starts the real `wharf host`
//! on a real nats-server, and measures what it does by the broker's own clock.

mod args;
mod cpu;
mod invoke;
mod pipeline;
mod report;
mod shop;
mod sink;
mod twin;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use args::{Args, Part};
use pipeline::{Programs, Promise};
use report::Report;

/// The same as the host's, so that the twins lose nothing by another one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(report) if args.check && !report.holds() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(args: &Args) -> Result<Report> {
    let report = measure(args).await?;
    print(&report);
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(report)
}

async fn measure(args: &Args) -> Result<Report> {
    let mut report = Report::default();
    let target = target()?;
    let own = args.bench_bundles.clone();
    let component = own
        .unwrap_or_else(|| target.join("bench-bundles"))
        .join("echo/handler.wasm");
    let wharf = args.wharf.clone();
    let wharf = wharf.unwrap_or_else(|| target.join("debug/wharf"));
    ensure!(
        wharf.is_file(),
        "{} is missing: build it first, with `./just build`",
        wharf.display()
    );
    let runs = if args.quick {
        1
    } else {
        usize::from(args.runs)
    };

    if args.measures(Part::Invoke) {
        let bytes = std::fs::read(&component).with_context(|| missing(&component))?;
        let calls = if args.quick { 200 } else { 20_000 };
        invoke::measure(invoke::Plan { calls, runs }, &bytes, &mut report).await?;
    }
    let cache = tempfile::TempDir::with_prefix("wharf-bench-cache-")?;
    let programs = Programs {
        wharf: wharf.clone(),
        component,
        cache: cache.path().join("cache"),
    };
    let plan = pipeline_plan(args, runs);
    if args.measures(Part::Raw) {
        pipeline::raw_rows(&plan, &mut report).await?;
    }
    pipeline::measure(&plan, &programs, &mut report).await?;
    if args.measures(Part::Shop) {
        let bundles = args.bundles.clone();
        let plan = shop::Plan {
            wharf,
            handlers: bundles.unwrap_or_else(|| target.join("bundles")),
            orders: if args.quick { 50 } else { args.orders },
            rate: 0.0,
            runs,
        };
        shop::measure(&plan, &mut report).await?;
    }
    Ok(report)
}

fn pipeline_plan(args: &Args, runs: usize) -> pipeline::Plan {
    const SECONDS_OF_A_PACE: u64 = 5;
    let promises = [
        (Part::AtLeastOnce, Promise::AtLeastOnce),
        (Part::EffectOnce, Promise::EffectOnce),
        (Part::ByKey, Promise::EffectOnceByKey),
    ];
    pipeline::Plan {
        events: if args.quick { 2_000 } else { args.events },
        runs,
        instance: args.instance,
        lean_twins: args.lean_twins,
        rate: if args.quick {
            200.0
        } else {
            f64::from(args.rate)
        },
        paced_events: match args.quick {
            true => 200,
            false => u64::from(args.rate) * SECONDS_OF_A_PACE,
        },
        promises: promises
            .into_iter()
            .filter(|(part, _)| args.measures(*part))
            .map(|(_, promise)| promise)
            .collect(),
        spans: !args.no_spans,
    }
}

/// Cargo's target directory: this program lies in a profile's folder below it.
fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let target = own.parent().and_then(Path::parent);
    target
        .map(Path::to_owned)
        .context("a program without a folder")
}

fn missing(path: &Path) -> String {
    format!(
        "{} is missing: build it first, with `./just handlers`",
        path.display()
    )
}

fn print(report: &Report) {
    println!("{report}");
}

/// Progress, for whoever waits; the report goes to standard output.
fn say(line: &str) {
    eprintln!("bench: {line}");
}

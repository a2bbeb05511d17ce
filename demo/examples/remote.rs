//! The shop's gateways, load and report against a broker and hosts that run
//! elsewhere, such as in a cluster, while something is done to them.
//!
//! The shop's handlers are deployed there already. Exit code 0: everything
//! balances and what was to be done meanwhile was done; else 1.

use std::net::SocketAddr;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::process::Command;
use wharf_demo::gateway::Modes;
use wharf_demo::load::{self, Counters, Spec};
use wharf_demo::run::{Rest, Watcher};
use wharf_demo::{Error, Gateway, Report, stream};

/// How long a shop in which nothing moves is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// The command begins when one order of so many is placed.
const BEGIN_AFTER_SHARE: u64 = 10;

#[derive(Debug, Parser)]
struct Args {
    /// Address of the broker.
    #[arg(long)]
    nats_url: String,
    /// Where the gateways listen; hosts reach them there, by their needs.
    #[arg(long)]
    gateway: SocketAddr,
    #[arg(long, default_value_t = 500)]
    orders: u32,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    skus: u32,
    /// Orders a second.
    #[arg(long, default_value_t = 25.0)]
    rate: f64,
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// What is done while orders are placed: a program and its arguments. It
    /// begins with a tenth of them, and must succeed.
    #[arg(last = true)]
    meanwhile: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything balances and the command was done in time.
async fn run(args: Args) -> Result<bool, Error> {
    let modes = Modes {
        latency_min_ms: 1,
        latency_max_ms: 10,
        decline_rate: 0.1,
        ..Modes::default()
    };
    let gateway = Gateway::start(args.gateway, args.seed, modes).await?;
    let client = stream::connect(std::slice::from_ref(&args.nats_url)).await?;
    let spec = Spec {
        seed: args.seed,
        first: 1,
        orders: args.orders,
        skus: args.skus,
        stock: 50,
        rate: Some(args.rate),
    };
    let counters = Counters::default();
    let placing = load::run(client.clone(), &spec, &counters);
    let doing = meanwhile(&args.meanwhile, &counters, u64::from(args.orders));
    let (done, done_meanwhile) = tokio::try_join!(placing, doing)?;
    println!(
        "{} orders placed in {:.1} s, {:.0} ms late at most",
        done.orders,
        done.took.as_secs_f64(),
        done.lag_max.as_secs_f64() * 1_000.0
    );
    let watcher = Watcher::new(&client, &gateway);
    let rest = watcher.settle(&[], u64::from(args.orders), PATIENCE).await;
    if let Rest::Stalled(tally) = rest {
        println!("nothing has moved for {PATIENCE:?}: {tally:?}");
    }
    let report = Report::collect(&client, gateway.ledger()).await?;
    println!("{report}");
    Ok(done_meanwhile && matches!(rest, Rest::Done(_)) && report.balanced)
}

/// Runs the command beside the load. True when it succeeded and began before
/// the last order was placed, or when there is none.
async fn meanwhile(command: &[String], placed: &Counters, orders: u64) -> Result<bool, Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(true);
    };
    while placed.placed() < orders / BEGIN_AFTER_SHARE {
        tokio::time::sleep(POLL).await;
    }
    let (before, begun) = (placed.placed(), Instant::now());
    let status = status(program, arguments).await?;
    println!(
        "meanwhile: {status}, {:.1} s, begun with {before} orders placed, ended with {} of {orders}",
        begun.elapsed().as_secs_f64(),
        placed.placed()
    );
    Ok(status.success() && before < orders)
}

async fn status(program: &str, arguments: &[String]) -> Result<ExitStatus, Error> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let status = command.kill_on_drop(true).status().await;
    status.map_err(|source| Error::Io {
        doing: format!("running {program}"),
        source,
    })
}

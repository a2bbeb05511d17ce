//! `wharf demo` from start to end: set the stage, place orders, watch, report,
//! strike the stage.

mod folder;
mod outcome;
mod place;
mod progress;
mod signals;
mod speak;
mod stage;
mod swap;
mod watch;

use std::time::{Duration, Instant};

pub use outcome::{HandlerTotals, Outcome};
pub use place::Place;
pub use progress::{Frame, HandlerRate, Screen, rates};
pub use stage::deploy;
pub use swap::Swaps;
pub use watch::{Rest, Settling, Tally, UNSETTLED, Watcher, unsettled};

use crate::Error;
use crate::args::{DemoArgs, GatewayArgs};
use crate::gateway::{Gateway, Modes};
use crate::load::{self, Counters};
use crate::metrics::Samples;
use crate::report::{self, Check, Report};
use outcome::per_second;
use progress::LOOK_EVERY;
use signals::Signals;
use speak::say;
use stage::Stage;
use swap::Swapper;

/// How long a shop in which nothing moves is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo and prints its report to standard output.
///
/// # Errors
/// Whatever kept the demo from a report; [`Error::Interrupted`] on Ctrl-C or
/// SIGTERM before there is one. No child outlives the call.
pub async fn run(args: DemoArgs) -> Result<Outcome, Error> {
    let mut signals = Signals::listen()?;
    let mut stage = tokio::select! {
        stage = Stage::set(&args, say) => stage?,
        () = signals.interrupted() => return Err(Error::Interrupted),
    };
    let worked = tokio::select! {
        outcome = work(&args, &mut stage) => outcome,
        () = signals.interrupted() => Err(Error::Interrupted),
    };
    if let Ok(outcome) = &worked {
        speak::print(outcome, args.output);
        if args.hold {
            say(&speak::what_is_up(&args, &stage));
            signals.interrupted().await;
        }
    }
    say("draining the host");
    let struck = stage.strike(&mut signals).await;
    let outcome = worked?;
    struck?;
    Ok(outcome)
}

/// Runs the gateways until Ctrl-C or SIGTERM.
///
/// # Errors
/// [`Error::Io`] when the address cannot be bound.
pub async fn run_gateway(args: GatewayArgs) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let modes = Modes {
        decline_rate: args.decline_rate,
        ..Modes::default()
    };
    let gateway = Gateway::start(args.listen, args.seed, modes).await?;
    say(&format!("payment and mail gateways on {}", gateway.url()));
    signals.interrupted().await;
    Ok(())
}

/// Places the orders, waits for the shop to come to rest, and judges.
async fn work(args: &DemoArgs, stage: &mut Stage) -> Result<Outcome, Error> {
    let client = stage.nats.connect().await?;
    let (spec, counters) = (args.spec(), Counters::default());
    let before = stage.host.metrics().await?;
    let placing = load::run(client.clone(), &spec, &counters);
    let swapper = match args.swap {
        true => Some(Swapper::new(stage, &args.handlers)?),
        false => None,
    };
    let swapping = async {
        match &swapper {
            Some(swapper) => swapper.run().await,
            None => std::future::pending().await,
        }
    };
    let following =
        async { tokio::try_join!(placing, follow(&client, u64::from(spec.orders), stage)) };
    let (done, last_moved) = tokio::select! {
        followed = following => followed?,
        failed = swapping => match failed? {},
    };

    let after = stage.host.metrics().await?;
    let facts = report::collect_facts(&client, stage.gateway.ledger()).await?;
    stage.folder.keep(&spec, &facts)?;
    let mut report = Report::of(&facts);
    report.add(rest_check(&after));
    let took = last_moved
        .saturating_duration_since(done.begun)
        .max(done.took);
    let swaps = match &swapper {
        Some(swapper) => Some(swapper.result(&client).await?),
        None => None,
    };
    let handlers = rates(&before, &after, took);
    Ok(Outcome {
        report,
        seconds: took.as_secs_f64(),
        orders_per_second: per_second(done.orders as f64, took),
        events_per_second: handlers.iter().map(|handler| handler.per_second).sum(),
        load_lag_ms_max: done.lag_max.as_secs_f64() * 1_000.0,
        handlers: handlers.into_iter().map(HandlerTotals::from).collect(),
        swaps,
        host_memory: stage.host.memory().ok(),
    })
}

/// Shows progress until nothing moves any more; returns when it last did.
async fn follow(
    client: &async_nats::Client,
    orders: u64,
    stage: &mut Stage,
) -> Result<Instant, Error> {
    let Stage { gateway, host, .. } = stage;
    let watcher = Watcher::new(client, gateway);
    let mut settling = Settling::new(orders, PATIENCE);
    let mut screen = Screen::new();
    let begun = Instant::now();
    let mut last = (begun, Samples::default());
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        host.require_running()?;
        let (Ok(tally), samples) = (watcher.tally().await, host.metrics().await.ok()) else {
            continue;
        };
        let now = Instant::now();
        let samples = samples.unwrap_or_default();
        let handlers = rates(&last.1, &samples, now.duration_since(last.0));
        let known = unsettled(&samples);
        last = (now, samples);
        screen.show(
            &Frame {
                elapsed: begun.elapsed(),
                orders,
                tally,
                handlers,
            },
            now,
        );
        if settling.see(tally, known, now).is_some() {
            return Ok(settling.moved().unwrap_or(now));
        }
    }
}

/// What the host itself says that it still has to do.
fn rest_check(samples: &Samples) -> Check {
    let Some(total) = unsettled(samples) else {
        return Check::new(
            "at rest",
            "unknown".into(),
            vec!["the host does not say".into()],
        );
    };
    let mut offenders = Vec::new();
    for handler in samples.values(UNSETTLED, "handler") {
        for state in samples.values(UNSETTLED, "state") {
            let count = samples.sum(UNSETTLED, &[("handler", &handler), ("state", &state)]);
            if count > 0.0 {
                offenders.push(format!("{handler}: {count} {state}"));
            }
        }
    }
    Check::new(
        "at rest",
        format!("{total} events held, waiting or dead"),
        offenders,
    )
}

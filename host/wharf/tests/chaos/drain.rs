//! SIGTERM, whatever is going on.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf_core::record::Record;
use wharf_demo::HostProcess;

use crate::probe::{Probe, unsettled, until_unsettled};
use crate::shop::{ORDERED, assert_balanced, neighbours, orders, place, until_committed};
use crate::support::{Plan, SOON, Site, until};
use crate::{alone, beside_others};

/// The drain's own default deadline.
const GRACE: Duration = Duration::from_secs(25);
/// After a drain the next host has the work within this, its own start included.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_ended_under_load_releases_its_work_and_the_next_one_has_it_within_two_seconds() {
    let _machine = alone().await;
    let site = Site::provisioned(Plan::shop().modes(neighbours())).await;
    let mut host = site.host().await;
    let client = site.client().await;
    let spec = orders(500, 100.0);
    let relay = async {
        until_committed(&host, 1_000).await;
        let told = Instant::now();
        let ended = host.term(GRACE).await.expect("SIGTERM is sent");
        println!("ended {:?} after SIGTERM", told.elapsed());
        assert!(ended.success(), "{ended}");
        for handler in ORDERED {
            let checkpoint = site.ledger(handler).await.checkpoint().await;
            assert!(checkpoint.released, "{handler}: {checkpoint:?}");
        }

        let begun = Instant::now();
        let host = site.start_host();
        for handler in ["inventory", "order", "payment", "audit"] {
            until_at_work(&host, handler).await;
            let took = begun.elapsed();
            println!("{handler} commits {took:?} after the next host's start");
            assert!(took < HANDED_OVER_WITHIN, "{handler}: {took:?}");
        }
        host
    };
    let (host, ()) = tokio::join!(relay, place(&client, &spec));
    assert_balanced(&site, &[&host], spec.orders, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_hangs_is_cut_off_at_the_deadline_and_not_counted() {
    let _machine = beside_others().await;
    let probe = Probe::set("drain = \"2s\"").await;
    let mut host = probe.site.host().await;
    probe.hang_on(&host, "k").await;
    probe.send("k", "note", "after").await;
    until_unsettled(&host, "held", 1).await;

    let told = Instant::now();
    let ended = host.term(GRACE).await.expect("SIGTERM is sent");
    let took = told.elapsed();
    assert!(ended.success(), "{ended}");
    assert!(
        took >= Duration::from_secs(2),
        "the drain gave up after {took:?}"
    );
    assert_nothing_happened(&probe).await;
    assert_goes_on(&probe).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_jumps_to_the_deadline() {
    let _machine = beside_others().await;
    let probe = Probe::set("drain = \"10m\"").await;
    let mut host = probe.site.host().await;
    probe.hang_on(&host, "k").await;
    probe.send("k", "note", "after").await;
    until_unsettled(&host, "held", 1).await;

    host.signal(Signal::TERM).expect("SIGTERM is sent");
    until("the drain", SOON, || async {
        probe.site.host_log().contains("draining").then_some(())
    })
    .await;
    // What runs goes on.
    assert_eq!(unsettled(&host, "in-flight").await, 1);
    host.require_running().expect("it waits for the attempt");

    let ended = host.term(GRACE).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
    assert_nothing_happened(&probe).await;
    assert_goes_on(&probe).await;
}

/// This host has committed an event of a handler.
async fn until_at_work(host: &HostProcess, handler: &str) {
    let of = [("handler", handler), ("outcome", "committed")];
    until(&format!("a commit of {handler}"), SOON, || async {
        let samples = host.metrics().await.ok()?;
        (samples.count("wharf_events_total", &of) > 0).then_some(())
    })
    .await;
}

/// The attempt left no trace but the released checkpoint.
async fn assert_nothing_happened(probe: &Probe) {
    assert_eq!(probe.ledger.records().await, [] as [Record; 0]);
    assert_eq!(probe.ledger.entries().await, []);
    let checkpoint = probe.ledger.checkpoint().await;
    assert!(checkpoint.released, "{checkpoint:?}");
    assert_eq!(checkpoint.watermark, 0, "{checkpoint:?}");
}

/// The next host does what the last one did not.
async fn assert_goes_on(probe: &Probe) {
    probe.hang(false);
    let _host: HostProcess = probe.site.host().await;
    probe.until_told("k", &["head", "after"]).await;
}

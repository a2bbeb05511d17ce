//! Several hosts share the work, and die.

mod attempts;
mod fleet;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf_demo::draw;

use crate::alone;
use crate::crashes::seed;
use crate::shop::{ORDERED, assert_balanced, orders, place};
use crate::support::{SOON, Site, now_ms};
use attempts::assert_no_key_was_worked_twice_at_once;
use fleet::{Fleet, LEASE};

/// A drain's own deadline.
const GRACE: Duration = Duration::from_secs(25);
/// After a release, or the end of a lease, another host has the work within it.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
/// A host is known to stay after two leases, owners look every other second, and
/// what moves moves in lots.
const SPREAD_WITHIN: Duration = Duration::from_secs(45);
/// Hosts that refuse a version, beside the one that runs it.
const UNFIT: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_under_three_sigkills_and_two_sigterms_lose_and_repeat_nothing() {
    const ORDERS: u32 = 3_000;
    const ENDS: [Signal; 5] = [
        Signal::KILL,
        Signal::TERM,
        Signal::KILL,
        Signal::TERM,
        Signal::KILL,
    ];
    let _machine = alone().await;
    let seed = seed();
    println!("seed {seed}; repeat with WHARF_CHAOS_SEED={seed}");
    let site = Site::provisioned(fleet::plan()).await;
    let client = site.client().await;
    let spec = orders(ORDERS, 60.0);
    let ends = async {
        let mut fleet = Fleet::of(&site, 2).await;
        for (nth, signal) in ENDS.into_iter().enumerate() {
            let draw = |what: &str, below| {
                let below: u64 = below;
                draw::between(seed, &[what, &nth.to_string()], 0, below)
            };
            let life_ms = 3_000 + draw("life", 5_000);
            tokio::time::sleep(Duration::from_millis(life_ms)).await;
            let which = usize::try_from(draw("which", 1)).expect("0 or 1");
            fleet.end(which, signal).await;
            fleet.start(which).await;
        }
        fleet
    };
    let (fleet, ()) = tokio::join!(ends, place(&client, &spec));
    let note = format!("seed {seed}");
    let tally = assert_balanced(&site, &fleet.hosts(), ORDERS, &note).await;
    println!("{tally:?}");
    assert_no_key_was_worked_twice_at_once(fleet.accounts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_share_the_handlers_and_each_takes_over_from_the_other_within_two_seconds() {
    let _machine = alone().await;
    let site = Site::provisioned(fleet::plan()).await;
    let client = site.client().await;
    let spec = orders(1_500, 40.0);
    let relay = async {
        let mut fleet = Fleet::of(&site, 2).await;
        let shares = fleet.until_spread(SPREAD_WITHIN).await;
        println!("spread over two hosts: {shares:?}");

        let told = Instant::now();
        fleet.end(0, Signal::TERM).await;
        let released = Instant::now();
        fleet.until_owned_by(1, SOON).await;
        println!("drained in {:?}", released - told);
        println!("taken {:?} after the drain", released.elapsed());
        assert!(released.elapsed() < TAKEN_WITHIN);

        fleet.start(0).await;
        let shares = fleet.until_spread(SPREAD_WITHIN).await;
        println!("spread again: {shares:?}");
        let killed = Instant::now();
        fleet.end(1, Signal::KILL).await;
        fleet.until_owned_by(0, SOON).await;
        println!("taken {:?} after SIGKILL", killed.elapsed());
        assert!(killed.elapsed() < LEASE + TAKEN_WITHIN);
        fleet
    };
    let (fleet, ()) = tokio::join!(relay, place(&client, &spec));
    assert_balanced(&site, &fleet.hosts(), spec.orders, "").await;
    assert_no_key_was_worked_twice_at_once(fleet.accounts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_stopped_past_its_lease_and_goes_on_does_no_harm() {
    let _machine = alone().await;
    let site = Site::provisioned(fleet::plan()).await;
    let client = site.client().await;
    let spec = orders(2_400, 60.0);
    let mut fleet = Fleet::of(&site, 1).await;
    fleet.until_owned_by(0, SOON).await;
    fleet.add().await;
    let freezes = async {
        for (stopped, other) in [(0, 1), (1, 0), (0, 1), (1, 0)] {
            freeze(&fleet, stopped, other).await;
        }
    };
    tokio::join!(freezes, place(&client, &spec));
    assert_balanced(&site, &fleet.hosts(), spec.orders, "").await;
}

/// Stops a host that owns all until another has all, and lets it go on.
async fn freeze(fleet: &Fleet<'_>, stopped: usize, other: usize) {
    fleet.signal(stopped, Signal::STOP);
    fleet.until_owned_by(other, SOON).await;
    let epochs = fleet.epochs().await;
    let from_ms = now_ms();
    fleet.signal(stopped, Signal::CONT);
    fleet.until_passed("order", 100).await;
    let to_ms = now_ms();
    // Whatever is not its own again by now has been the other's all the while.
    let now = fleet.epochs().await;
    let others: Vec<&str> = ORDERED
        .into_iter()
        .filter(|h| epochs[h] == now[h])
        .collect();
    assert!(!others.is_empty(), "nothing stayed with the other host");
    let account = fleet.account(stopped);
    let begun = |handler: &&str| account.begun_between(handler, from_ms, to_ms);
    let begun: usize = others.iter().map(begun).sum();
    println!("host {stopped} went on, and began {begun} attempts on {others:?}");
    // One for each of the host's workers may have passed the last look at the lease
    // when it was stopped, and not have said that it begins.
    let passed_before = std::thread::available_parallelism().expect("a number");
    assert!(
        begun <= passed_before.get(),
        "it began {begun} on what it had lost"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_35_a_host_that_refuses_the_version_is_given_nothing_of_it() {
    let _machine = alone().await;
    let site = Site::provisioned(fleet::plan()).await;
    let mut fleet = Fleet::of(&site, 1).await;
    fleet.until_owned_by(0, SOON).await;
    let before = fleet.epochs().await["payment"];
    // It does not know where the gateway is: payment cannot run there.
    let needs = site.options.needs.with_file_name("mail-only.toml");
    let url = site.gateway.url();
    std::fs::write(&needs, format!("[needs.mail]\nurl = \"{url}\"\n")).expect("written");
    // The more of them there are, the more the first one has to give up.
    for number in 1..=UNFIT {
        fleet
            .add_with(|options| options.needs.clone_from(&needs))
            .await;
        let refused = fleet.refusal(number, "payment").await;
        assert_eq!(refused.code, "WH0503", "{refused:?}");
    }

    let expected = fleet.until_spread(SPREAD_WITHIN).await;
    let first = fleet.id(0).await;
    assert_eq!(expected["payment"], first, "nobody else can run it");
    let after = fleet.epochs().await["payment"];
    assert_eq!(
        after, before,
        "it was not offered to a host that refused it"
    );
    for number in 2..=UNFIT {
        fleet.end(number, Signal::TERM).await;
    }
    // Where the only host that can run it leaves, it waits, and nothing is lost.
    fleet.end(0, Signal::TERM).await;
    let left: Vec<&str> = ORDERED.into_iter().filter(|h| *h != "payment").collect();
    fleet.until_these_are_owned_by(&left, 1, SOON).await;
    let spec = orders(50, 50.0);
    place(&site.client().await, &spec).await;
    assert!(site.ledger("payment").await.checkpoint().await.released);
    fleet.start(0).await;
    assert_balanced(&site, &fleet.hosts(), spec.orders, "").await;
}

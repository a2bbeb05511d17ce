//! One key that stands still, hundreds of events behind it, and everybody else.

use crate::beside_others;
use crate::probe::{Probe, unsettled, until_unsettled};
use crate::support::{SOON, until};

const LANE_MAX: u64 = 16;
const FOLLOWERS: u64 = 300;
/// Bounds far below the number of followers, so that they would fill the host
/// if they stayed in its memory.
const NARROW: &str = "lease = \"3s\"\nmax_lane = 16\nmax_held = 100\nmax_span = 100000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_32_one_slow_key_spills_and_stops_no_other() {
    let _machine = beside_others().await;
    let probe = Probe::set(NARROW).await;
    let host = probe.site.host().await;
    probe.hang_on(&host, "slow").await;
    follow(&probe).await;
    for nth in 0..200 {
        probe
            .send(&format!("quick-{}", nth % 40), "note", nth.to_string())
            .await;
    }
    for key in 0..40 {
        let lines: Vec<String> = (0..5).map(|round| (key + 40 * round).to_string()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        probe.until_told(&format!("quick-{key}"), &lines).await;
    }
    assert_eq!(probe.told("slow").await, [""; 0], "the head is still at it");
    until_unsettled(&host, "queued", FOLLOWERS - LANE_MAX).await;
    assert_eq!(unsettled(&host, "held").await, LANE_MAX);

    probe.hang(false);
    assert_worked_off(&probe).await;
    until_unsettled(&host, "queued", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_being_worked_off_survives_crashes_in_order() {
    let _machine = beside_others().await;
    let probe = Probe::set(NARROW).await;
    let mut host = probe.site.host().await;
    probe.hang_on(&host, "slow").await;
    follow(&probe).await;
    until_unsettled(&host, "queued", FOLLOWERS - LANE_MAX).await;
    // A head that never ended, then a queue half worked off, twice.
    host.kill().await.expect("SIGKILL is sent");
    probe.hang(false);
    for told in [40, 120] {
        let mut host = probe.site.host().await;
        let look = || async { (probe.told("slow").await.len() >= told).then_some(()) };
        until("a part of the queue", 2 * SOON, look).await;
        host.kill().await.expect("SIGKILL is sent");
    }
    let _host = probe.site.host().await;
    assert_worked_off(&probe).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_of_a_head_that_outlasts_max_hold_leave_the_hosts_memory() {
    let _machine = beside_others().await;
    let probe = Probe::set("max_hold = \"1s\"").await;
    let host = probe.site.host().await;
    probe.hang_on(&host, "slow").await;
    for line in ["a", "b", "c"] {
        probe.send("slow", "note", line).await;
    }
    until_unsettled(&host, "queued", 3).await;
    until_unsettled(&host, "held", 0).await;
    assert_eq!(probe.ledger.entries().await.len(), 3);

    probe.hang(false);
    probe.until_told("slow", &["head", "a", "b", "c"]).await;
    until_unsettled(&host, "queued", 0).await;
}

async fn follow(probe: &Probe) {
    for nth in 0..FOLLOWERS {
        probe.send("slow", "note", nth.to_string()).await;
    }
}

/// Head and followers were handled once each, in stream order, and nothing of
/// the queue is left.
async fn assert_worked_off(probe: &Probe) {
    let last = (FOLLOWERS - 1).to_string();
    let told = until("the last follower", 4 * SOON, || async {
        let told = probe.told("slow").await;
        told.contains(&last).then_some(told)
    })
    .await;
    let followers = (0..FOLLOWERS).map(|nth| nth.to_string());
    let expected: Vec<String> = std::iter::once("head".to_owned())
        .chain(followers)
        .collect();
    assert_eq!(told, expected);
    assert_eq!(probe.state("slow").await, expected);
    until("an empty queue", SOON, || async {
        let free = probe.record("slow").await.block.is_none();
        (free && probe.ledger.entries().await.is_empty()).then_some(())
    })
    .await;
}

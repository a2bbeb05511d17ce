//! Owners that lost their lease and do not know it yet.

use std::time::Duration;

use rustix::process::Signal;
use wharf_core::record::Status;
use wharf_demo::HostProcess;

use crate::ALONE;
use crate::stand::{Stand, counted, until_at_rest};
use crate::support::{SOON, until};

/// Of each fate its own.
const KEYS: usize = 6;
/// Between two events of a key.
const PAUSE: Duration = Duration::from_millis(60);
/// How long the late owner stays away while another one works.
const AWAY: Duration = Duration::from_secs(1);

/// How an owner becomes a zombie.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It reads and works on, and what it writes arrives when the next owner
    /// has worked for a while.
    CannotWrite,
    /// SIGSTOP, wherever it is just now, and SIGCONT.
    Frozen,
    /// All that it says and hears is late.
    CutOff,
}

impl Fate {
    fn begin(self, stand: &Stand, hosts: &[HostProcess], owner: usize) {
        match self {
            Self::CannotWrite => stand.seats[owner].hang("ledger"),
            Self::Frozen => hosts[owner].signal(Signal::STOP).expect("it is signalled"),
            Self::CutOff => stand.seats[owner].hang(""),
        }
    }

    fn end(self, stand: &Stand, hosts: &[HostProcess], owner: usize) {
        match self {
            Self::CannotWrite | Self::CutOff => stand.seats[owner].way.heal(),
            Self::Frozen => hosts[owner].signal(Signal::CONT).expect("it is signalled"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_17_late_writes_of_a_zombie_and_two_owners_at_work_lose_and_repeat_nothing() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let hosts = stand.hosts().await;
    let mut sent = Vec::new();
    for fate in [Fate::CannotWrite, Fate::Frozen, Fate::CutOff] {
        let owner = stand.owner().await;
        let losing = async {
            until("the owner to be at work", SOON, || async {
                let told = stand.probe.told(&format!("{fate:?}-0")).await;
                (!told.is_empty()).then_some(())
            })
            .await;
            fate.begin(&stand, &hosts, owner);
            stand.until_taken_from(owner).await;
            tokio::time::sleep(AWAY).await;
        };
        let keys: Vec<String> = (0..KEYS).map(|n| format!("{fate:?}-{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        sent.extend(stand.send_notes_during(&keys, PAUSE, losing).await);
        // All is done when the late writes come: whatever they change, stays.
        stand.assert_done(&sent).await;
        fate.end(&stand, &hosts, owner);
        until_at_rest(&hosts).await;
        stand.assert_done(&sent).await;
        let lost = counted(&hosts, "wharf_commit_conflicts_total").await;
        println!("{fate:?}: {lost} commits were seen to lose by now");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_18_what_a_frozen_owner_holds_is_taken_over_and_nobody_waits_for_ever() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let probe = &stand.probe;
    let hosts = stand.hosts().await;
    let owner = stand.owner().await;
    probe.site.gateway.down().await;
    // One waits for its need, one for its next attempt; both with followers.
    probe.send("asks", "ask", "answered").await;
    probe.send("stumbles", "stumble", "6 got up").await;
    for key in ["asks", "stumbles"] {
        for line in ["after", "and then"] {
            probe.send(key, "note", line).await;
        }
    }
    probe.send("free", "note", "passes").await;
    probe.until_told("free", &["passes"]).await;
    until_status(&stand, "asks", Status::WaitingNeed).await;
    until_status(&stand, "stumbles", Status::Retrying).await;

    hosts[owner].signal(Signal::STOP).expect("it is signalled");
    stand.until_taken_from(owner).await;
    probe.site.gateway.up().await;
    let done = [
        ("asks", ["answered", "after", "and then"]),
        ("stumbles", ["got up", "after", "and then"]),
    ];
    for (key, lines) in &done {
        probe.until_told(key, lines).await;
    }
    hosts[owner].signal(Signal::CONT).expect("it is signalled");
    until_at_rest(&hosts).await;

    // It comes back, and what it held is not done again.
    probe.send("free", "note", "passes again").await;
    probe.until_told("free", &["passes", "passes again"]).await;
    for (key, lines) in &done {
        assert_eq!(probe.told(key).await, lines);
        assert_eq!(probe.state(key).await, lines);
        assert_eq!(probe.record(key).await.block, None);
    }
}

async fn until_status(stand: &Stand, key: &str, status: Status) {
    let look = || async {
        let record = stand.probe.ledger.record(key).await?;
        (record.status() == status).then_some(())
    };
    until(&format!("{key} to be {status:?}"), SOON, look).await;
}

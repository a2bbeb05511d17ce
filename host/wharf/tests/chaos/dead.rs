//! A dead letter, and what comes behind it.

use serde_json::Value;
use wharf_core::record::Status;
use wharf_demo::HostProcess;

use crate::beside_others;
use crate::probe::{Probe, until_unsettled};
use crate::support::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_key_queues_its_later_events_and_lets_all_others_go_on() {
    let _machine = beside_others().await;
    let probe = Probe::set("lease = \"3s\"").await;
    let mut host = probe.site.host().await;
    probe.send("bad", "note", "before").await;
    let dead = probe.send("bad", "reject", "as told").await;
    let mut last = dead;
    for line in ["a", "b", "c"] {
        last = probe.send("bad", "note", line).await;
        probe.send("good", "note", line).await;
    }
    probe.until_told("good", &["a", "b", "c"]).await;
    assert_parked(&probe, &host, (dead, last), &["a", "b", "c"]).await;

    // Whatever a host had in memory, the ledger has.
    host.kill().await.expect("SIGKILL is sent");
    let mut host = probe.site.host().await;
    probe.send("good", "note", "d").await;
    last = probe.send("bad", "note", "d").await;
    probe.until_told("good", &["a", "b", "c", "d"]).await;
    assert_parked(&probe, &host, (dead, last), &["a", "b", "c", "d"]).await;

    let ended = host.term(SOON).await.expect("SIGTERM is sent");
    assert!(ended.success(), "{ended}");
    let host = probe.site.host().await;
    assert_parked(&probe, &host, (dead, last), &["a", "b", "c", "d"]).await;
    assert_eq!(probe.told("bad").await, ["before"]);
}

/// The dead event and its followers are counted, shown, readable and settled.
async fn assert_parked(
    probe: &Probe,
    host: &HostProcess,
    (head, tail): (u64, u64),
    lines: &[&str],
) {
    until_unsettled(host, "queued", lines.len() as u64).await;
    until_unsettled(host, "dead", 1).await;
    let block = probe.record("bad").await.block.expect("a block");
    assert_eq!(block.status(), Status::Dead);
    assert_eq!((block.head, block.tail), (head, tail));
    probe.until_settled(tail).await;

    let entries = probe.ledger.entries().await;
    let codes: Vec<&str> = entries.iter().map(|entry| entry.code.as_str()).collect();
    assert_eq!(codes[0], "told-to");
    assert!(codes[1..].iter().all(|code| *code == "queued"), "{codes:?}");
    let data: Vec<&[u8]> = entries.iter().map(|entry| &*entry.data).collect();
    let expected: Vec<&[u8]> = ["as told"]
        .iter()
        .chain(lines)
        .map(|line| line.as_bytes())
        .collect();
    assert_eq!(data, expected);

    let config = probe.site.options.config.to_str().expect("UTF-8");
    let handlers = probe
        .site
        .options
        .handlers
        .as_ref()
        .and_then(|path| path.to_str())
        .expect("UTF-8");
    let command = [
        "entity",
        "show",
        "probe",
        "bad",
        "--config",
        config,
        "--handlers",
        handlers,
        "-o",
        "json",
    ];
    let shown: Value = serde_json::from_str(&probe.site.wharf(&command).await).expect("JSON");
    assert_eq!(shown["data"]["status"], "dead", "{shown}");
    assert_eq!(shown["data"]["queue"]["tail"], tail, "{shown}");
    assert_eq!(shown["data"]["entries"], 1 + lines.len(), "{shown}");
}

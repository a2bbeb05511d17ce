//! One id, other bytes.

use crate::stage::{Stage, keep, kept};
use crate::{ALONE, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_with_other_bytes_is_parked_and_the_first_stays_what_the_id_means() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let ledger = stage.site.ledger("keep").await;
    stage.wire.publish(&kept("k", "1", "a"));
    let other = kept("k", "1", "OTHER");
    let conflict = stage.wire.publish(&other);
    stage.wire.publish(&kept("k", "2", "b"));
    // What was handled comes again: done, and no conflict.
    let again = stage.wire.publish(&kept("k", "1", "a"));
    // What was refused comes again: it is refused again.
    let refused_again = stage.wire.publish(&other);
    let last = stage.wire.publish(&kept("k", "3", "c"));
    watch::settled(&ledger, last).await;

    for sequence in [conflict, refused_again] {
        let entry = watch::parked(&ledger, sequence).await;
        assert_eq!(
            (entry.code.as_str(), entry.key.as_str()),
            ("id-conflict", "k")
        );
        assert!(entry.message.contains("`1`"), "{}", entry.message);
        watch::assert_kept_whole(&entry, &other);
    }
    assert_eq!(
        ledger.entry(again).await,
        None,
        "the handled event became a dead letter"
    );
    assert_eq!(watch::text(&ledger, "k").await, "abc");
    watch::some_beats(&ledger).await;
    let samples = watch::metrics(&stage.host).await;
    let count = |outcome| {
        samples.count(
            "wharf_events_total",
            &[("handler", "keep"), ("outcome", outcome)],
        )
    };
    assert_eq!(
        (count("committed"), count("dead"), count("duplicate")),
        (3, 2, 1)
    );
    assert_eq!(
        samples.count("wharf_attempts_total", &[("handler", "keep")]),
        3
    );
}

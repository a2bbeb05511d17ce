//! Keys that no subject could hold, taken from a header.

use serde_json::Value;

use crate::event::Raw;
use crate::stage::{Stage, for_rogue, keep_by_header, rogue};
use crate::support::SOON;
use crate::{ALONE, watch};
use wharf_demo::stream::Stream;

const ODD: [&str; 13] = [
    "*",
    ">",
    "a",
    "A",
    "a.b.c",
    "a*b",
    "with spaces  in it",
    "%2A",
    "wl.keep-by-header-1.r.x",
    "../../etc/passwd",
    "quotes \" and ' and \\",
    "Grüße ☕",
    "\u{202e}turned",
];

fn headed(key: &str, id: &str, data: &str) -> Raw {
    Raw::event("test.headed", id, "kept", data).with("x-key", key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_any_text_of_256_bytes_and_is_never_taken_for_another() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep_by_header()]).await;
    let longest = "*".repeat(256);
    let keys: Vec<&str> = ODD.into_iter().chain([longest.as_str()]).collect();
    for round in ["a", "b"] {
        for key in &keys {
            stage
                .wire
                .publish(&headed(key, &format!("{key:.100}{round}"), round));
        }
    }
    let bad = [
        (headed(&"k".repeat(257), "257", "x"), "key-length"),
        (headed(&"k".repeat(5_000), "5000", "x"), "key-length"),
        (headed("", "empty", "x"), "key-length"),
        (
            headed("one", "two-keys", "x").with("X-Key", "other"),
            "no-key",
        ),
        (headed("one", "no-key", "x").without("x-key"), "no-key"),
    ];
    let ledger = stage.site.ledger("keep-by-header").await;
    for (raw, code) in bad {
        let sequence = stage.wire.publish(&raw);
        let entry = watch::parked(&ledger, sequence).await;
        assert_eq!(entry.code, code, "{}", entry.message);
        watch::assert_kept_whole(&entry, &raw);
    }
    let last = stage.wire.publish(&headed("one", "good", "c"));
    watch::settled(&ledger, last).await;
    for key in &keys {
        assert_eq!(watch::text(&ledger, key).await, "ab", "{key}");
    }
    assert_eq!(watch::text(&ledger, "one").await, "c");
    assert_shown(&stage, "a*b").await;
    stage.host.require_running().expect("the host is alive");
}

async fn assert_shown(stage: &Stage, key: &str) {
    let config = stage.site.options.config.to_str().expect("a path");
    let shown = stage
        .site
        .wharf(&[
            "entity",
            "show",
            "keep-by-header",
            key,
            "--config",
            config,
            "-o",
            "json",
        ])
        .await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["data"]["key"], &shown["data"]["status"]),
        (&key.into(), &"live".into()),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_04_one_id_on_two_keys_is_two_events_with_two_emissions() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[rogue("")]).await;
    let keys = ["A", "b.* >"];
    for key in keys {
        stage.wire.publish(&for_rogue(key, "1", "emit-flood", "1"));
    }
    let out = Stream::new(stage.site.client().await, "TEST");
    let emitted = crate::support::until("both emissions", SOON, async || {
        let found = out.read_matching("test.out.*.flood").await.ok()?;
        (found.len() == keys.len()).then_some(found)
    })
    .await;
    let mut subjects: Vec<&str> = emitted
        .iter()
        .map(|message| message.subject.as_str())
        .collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        ["test.out.A.flood", "test.out.b%2E%2A%20%3E.flood"]
    );
    let ledger = stage.site.ledger("rogue").await;
    watch::some_beats(&ledger).await;
    assert_eq!(
        out.read_matching("test.out.*.flood")
            .await
            .expect("the broker answers")
            .len(),
        2
    );
}

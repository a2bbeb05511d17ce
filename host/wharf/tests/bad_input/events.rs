//! Events that are none, or that a handler cannot take, on the shop's own
//! subjects.

use std::collections::BTreeMap;

use wharf_demo::HostProcess;

use crate::event::{Raw, placed, stocked};
use crate::support::ledger::Ledger;
use crate::support::{Plan, SOON, Site, until};
use crate::wire::Wire;
use crate::{ALONE, bundles, watch};

/// What becomes of a bad event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Dead as a stray: it is of no key, and no key waits for it.
    Stray(&'static str),
    /// Dead as an event of its key, which waits behind it.
    Dead(&'static str),
    /// Settled without the guest.
    Ignored,
    Handled,
}

/// A bad event of the key `order`, and what *order* and *audit* make of it.
struct Case {
    name: &'static str,
    raw: fn(order: &str) -> Raw,
    order: Fate,
    audit: Fate,
}

use Fate::{Dead, Handled, Ignored, Stray};

/// What the broker stores at most, in bytes.
const HEADERS_MAX: usize = (64 << 10) - 1;

const CASES: &[Case] = &[
    both(
        "structured mode, bytes that are no JSON",
        |s| Raw::structured(&subject(s), b"\xff\xfe{".to_vec()),
        "structured",
    ),
    both(
        "structured mode, empty payload",
        |s| Raw::structured(&subject(s), ""),
        "structured",
    ),
    both(
        "structured mode, another format",
        |s| structured_as(s, "application/cloudevents+xml"),
        "structured",
    ),
    both(
        "no specversion",
        |s| good(s).without("ce-specversion"),
        "missing-attribute",
    ),
    both("no id", |s| good(s).without("ce-id"), "missing-attribute"),
    both(
        "no source",
        |s| good(s).without("ce-source"),
        "missing-attribute",
    ),
    both(
        "no type",
        |s| good(s).without("ce-type"),
        "missing-attribute",
    ),
    both(
        "another specversion",
        |s| {
            good(s)
                .without("ce-specversion")
                .with("ce-specversion", "0.3")
        },
        "spec-version",
    ),
    both(
        "an id of 257 bytes",
        |s| good(s).without("ce-id").with("ce-id", "i".repeat(257)),
        "id-length",
    ),
    both(
        "two ids",
        |s| good(s).with("CE-ID", "another"),
        "duplicate-header",
    ),
    both(
        "two content types",
        |s| {
            good(s)
                .with("content-type", "a/b")
                .with("Content-Type", "a/c")
        },
        "duplicate-header",
    ),
    both(
        "an attribute that decodes to no text",
        |s| good(s).with("ce-note", "%FF"),
        "header-not-utf8",
    ),
    both(
        "a timer from outside",
        |s| typed(s, "wharf.timer.unpaid"),
        "reserved-type",
    ),
    Case {
        name: "headers of 64 KiB less one",
        raw: |s| good(s).padded_to(HEADERS_MAX),
        order: Handled,
        audit: Handled,
    },
    Case {
        name: "an unknown type",
        raw: |s| typed(s, "order.pondered"),
        order: Ignored,
        audit: Handled,
    },
    Case {
        name: "bytes without headers",
        raw: |s| Raw::bare(&subject(s), "hello"),
        order: Ignored,
        audit: Handled,
    },
    Case {
        name: "no bytes and no headers",
        raw: |s| Raw::bare(&subject(s), ""),
        order: Ignored,
        audit: Handled,
    },
    Case {
        name: "an empty payload",
        raw: |s| good(s).payload(b""),
        order: Dead("bad-data"),
        audit: Handled,
    },
    Case {
        name: "invalid UTF-8",
        raw: |s| good(s).payload(b"{\"customer\":\"\xff\"}"),
        order: Dead("bad-data"),
        audit: Handled,
    },
    Case {
        name: "JSON of another shape",
        raw: |s| good(s).payload(b"[1,2]"),
        order: Dead("bad-data"),
        audit: Handled,
    },
];

/// Undecodable for every handler alike.
const fn both(name: &'static str, raw: fn(&str) -> Raw, code: &'static str) -> Case {
    Case {
        name,
        raw,
        order: Stray(code),
        audit: Stray(code),
    }
}

fn subject(order: &str) -> String {
    format!("shop.order.{order}.placed")
}

fn good(order: &str) -> Raw {
    placed(order, &format!("{order}.bad"))
}

fn typed(order: &str, event_type: &str) -> Raw {
    good(order).without("ce-type").with("ce-type", event_type)
}

fn structured_as(order: &str, content_type: &str) -> Raw {
    Raw::structured(&subject(order), "{}")
        .without("content-type")
        .with("content-type", content_type)
}

/// Picks what one handler makes of a case.
type FateOf = fn(&Case) -> Fate;

/// The handlers that are looked at, and what each makes of a case.
const HANDLERS: [(&str, FateOf); 2] = [("order", |case| case.order), ("audit", |case| case.audit)];

/// A bad event on its way, with the good ones behind it.
struct Sent {
    case: &'static Case,
    order: String,
    raw: Raw,
    sequence: u64,
    /// Of the good event of the same key. The host publishes meanwhile, so it
    /// need not be the next one.
    behind: u64,
}

fn send(wire: &mut Wire, (number, case): (usize, &'static Case)) -> Sent {
    let order = format!("ORD-{number:02}");
    let raw = (case.raw)(&order);
    let sequence = wire.publish(&raw);
    let behind = wire.publish(&placed(&order, &format!("{order}.placed")));
    wire.publish(&placed(
        &format!("{order}-OTHER"),
        &format!("{order}-OTHER.placed"),
    ));
    Sent {
        case,
        order,
        raw,
        sequence,
        behind,
    }
}

/// The shop, a host on it, and stock for every order.
async fn shop() -> (tempfile::TempDir, Site, HostProcess, Wire) {
    let folder = bundles::folder(&bundles::shop());
    let site = Site::provisioned(Plan::of(
        folder.path().to_owned(),
        crate::support::SHOP_STREAMS,
    ))
    .await;
    let host = site.host().await;
    let mut wire = Wire::connect(site.nats.port());
    wire.publish(&stocked());
    (folder, site, host, wire)
}

async fn check(name: &str, fate: Fate, ledger: &Ledger, sent: &Sent) {
    let entry = match fate {
        Stray(code) | Dead(code) => {
            let entry = watch::parked(ledger, sent.sequence).await;
            assert_eq!(
                entry.code, code,
                "{}: {name}: {}",
                sent.case.name, entry.message
            );
            assert!(
                !entry.message.is_empty(),
                "{}: {name} says nothing",
                sent.case.name
            );
            watch::assert_kept_whole(&entry, &sent.raw);
            entry
        }
        Ignored | Handled => {
            let entry = ledger.entry(sent.sequence).await;
            return assert_eq!(entry, None, "{}: {name}", sent.case.name);
        }
    };
    let key = if matches!(fate, Stray(_)) {
        String::new()
    } else {
        sent.order.clone()
    };
    assert_eq!(entry.key, key, "{}: {name}", sent.case.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_event_has_a_named_end_and_stops_nothing_behind_it() {
    let _alone = ALONE.lock().await;
    let (_folder, site, mut host, mut wire) = shop().await;
    // What is larger the broker keeps away from everybody.
    const HEADER_TOO_LARGE: u64 = 10097;
    assert_eq!(
        wire.refused(&good("ORD-X").padded_to(HEADERS_MAX + 1)),
        HEADER_TOO_LARGE
    );
    let all: Vec<Sent> = CASES
        .iter()
        .enumerate()
        .map(|case| send(&mut wire, case))
        .collect();
    let (order, audit) = (site.ledger("order").await, site.ledger("audit").await);
    let last = all.last().expect("there are cases").sequence;
    watch::settled(&order, last).await;
    watch::settled(&audit, last).await;
    for sent in &all {
        check("order", sent.case.order, &order, sent).await;
        check("audit", sent.case.audit, &audit, sent).await;
        watch::confirmed(&site, &format!("{}-OTHER", sent.order)).await;
        match sent.case.order {
            // An event of the key itself: those behind it wait for a person.
            Dead(_) => assert_eq!(watch::parked(&order, sent.behind).await.code, "queued"),
            Stray(_) | Ignored | Handled => watch::confirmed(&site, &sent.order).await,
        }
    }
    watch::some_beats(&order).await;
    for (handler, fate) in HANDLERS {
        assert_counted(&host, handler, &all, fate).await;
    }
    host.require_running().expect("the host is alive");

    host.term(SOON).await.expect("it drains");
    let host = site.host().await;
    for (handler, fate) in HANDLERS {
        assert_stand_still(&site, &host, handler, &all, fate).await;
    }
}

/// A host that comes later counts what is parked and leaves it alone.
async fn assert_stand_still(
    site: &Site,
    host: &HostProcess,
    handler: &str,
    all: &[Sent],
    fate: FateOf,
) {
    let number = |is: fn(Fate) -> bool| all.iter().filter(|sent| is(fate(sent.case))).count();
    let dead = number(|fate| matches!(fate, Stray(_) | Dead(_))) as u64;
    let queued = number(|fate| matches!(fate, Dead(_))) as u64;
    let what = format!("{handler} to count {dead} dead and {queued} queued");
    until(&what, SOON, async || {
        let samples = watch::metrics(host).await;
        let count =
            |state| samples.count("wharf_unsettled", &[("handler", handler), ("state", state)]);
        ((count("dead"), count("queued")) == (dead, queued)).then_some(())
    })
    .await;
    watch::some_beats(&site.ledger(handler).await).await;
    let samples = watch::metrics(host).await;
    let attempts = samples.count("wharf_attempts_total", &[("handler", handler)]);
    assert_eq!(attempts, 0, "{handler} tried something again");
}

/// Each bad event was counted under its outcome, once, and none was tried more
/// often than it may be.
async fn assert_counted(host: &HostProcess, handler: &str, all: &[Sent], fate: fn(&Case) -> Fate) {
    let samples = watch::metrics(host).await;
    let count = |outcome| {
        samples.count(
            "wharf_events_total",
            &[("handler", handler), ("outcome", outcome)],
        )
    };
    let mut wanted = BTreeMap::from([("dead", 0), ("ignored", 0), ("queued", 0)]);
    for sent in all {
        match fate(sent.case) {
            Stray(_) => *wanted.entry("dead").or_default() += 1,
            Dead(_) => {
                *wanted.entry("dead").or_default() += 1;
                *wanted.entry("queued").or_default() += 1;
            }
            Ignored => *wanted.entry("ignored").or_default() += 1,
            Handled => {}
        }
    }
    for (outcome, number) in wanted {
        assert_eq!(count(outcome), number, "{handler}: {outcome}");
    }
    // A reject is one attempt, and undecodable bytes are none.
    let rejected = all
        .iter()
        .filter(|sent| matches!(fate(sent.case), Dead(_)))
        .count() as u64;
    let attempts = |result| {
        samples.count(
            "wharf_attempts_total",
            &[("handler", handler), ("result", result)],
        )
    };
    assert_eq!(attempts("reject"), rejected, "{handler}");
    assert_eq!(attempts("retry") + attempts("trap"), 0, "{handler}");
}

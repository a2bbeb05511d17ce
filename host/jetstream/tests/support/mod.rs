//! What the tests of ledger, parking, timers and assets share.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses its own part"
)]

use crate::common::{Server, connect};
use wharf_core::ids::entity_token;
use wharf_core::manifest::{Ordering, Start};
use wharf_jetstream::api::Api;
use wharf_jetstream::assets::{self, Place, PlaceHandler, PlaceStream, UsesTimers};
use wharf_jetstream::connection::Connection;
use wharf_jetstream::ledger::{CommitId, CommitOptions, CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Publisher;

pub fn lineage() -> Lineage {
    Lineage::new("order", 1).expect("a lineage")
}

/// A place with one stream of events and one ordered handler with timers.
pub fn place() -> Place {
    let stream = PlaceStream {
        name: "SHOP".into(),
        subjects: vec!["shop.*.*.>".into()],
        max_bytes: 64 << 20,
        replicas: 1,
    };
    let handler = PlaceHandler {
        lineage: lineage(),
        stream: "SHOP".into(),
        ordering: Ordering::Key,
        filters: vec!["shop.order.*.>".into()],
        start: Start::New,
        resume_behind: None,
        timers: UsesTimers::Yes,
        partitions: 1,
        max_ack_pending: 1_000,
        ledger_max_bytes: 64 << 20,
        replicas: 1,
    };
    Place {
        registry: None,
        streams: vec![stream],
        handlers: vec![handler],
    }
}

pub async fn provision(server: &Server, place: &Place) {
    let api = Api::new(connect(server).await);
    let plan = assets::plan(&api, place).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("provisioned");
}

pub async fn ledger_on(connection: Connection) -> Ledger {
    let publisher = Publisher::new(connection.clone(), 1_024)
        .await
        .expect("a publisher");
    Ledger::open(connection, publisher, lineage())
}

/// A ledger that is provisioned and has its floor.
pub async fn ledger(server: &Server) -> Ledger {
    provision(server, &place()).await;
    let ledger = ledger_on(connect(server).await).await;
    ledger.set_floor_from_leader().await.expect("the floor");
    ledger
}

pub fn options() -> CommitOptions {
    CommitOptions {
        ttl: None,
        hold: false,
        commit_id: CommitId::random(),
    }
}

pub fn ek(key: &str) -> String {
    entity_token(key)
}

/// Commits and returns the revision.
pub async fn commit(ledger: &Ledger, key: &str, expected: u64, bytes: &str) -> u64 {
    match ledger
        .commit(&ek(key), expected, bytes.to_owned().into(), &options())
        .await
    {
        CommitResult::Committed { revision } => revision,
        other => panic!("{key}: {other:?}"),
    }
}

//! `wharf entity show`: an entity as its record has it.

mod cli_support;

use cli_support::{Place, Run, Server, api};
use wharf_core::ids::entity_token;
use wharf_core::record::{self, Block, Cursor, Record, State, Status, Timer};
use wharf_jetstream::ledger::{CommitId, CommitOptions, CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::parking::{EntryPosition, ParkResult, Parking};
use wharf_jetstream::publisher::Publisher;

/// An order whose event 7 is dead, with event 9 behind it.
fn troubled() -> Record {
    let mut block = Block {
        head: 7,
        tail: 9,
        event: vec![1; 16],
        transient: 8,
        guest_faults: 1,
        first_failure_ms: 1_795_000_000_000,
        code: "no-stock".into(),
        message: "the shelf is empty".into(),
        ..Block::default()
    };
    block.set_status(Status::Dead);
    let timer = Timer {
        name: "unpaid".into(),
        due_ms: 4_102_444_800_000,
        ..Timer::default()
    };
    Record {
        state: Some(State {
            version: 2,
            data: br#"{"status":"open","lines":[1]}"#.to_vec(),
        }),
        timers: vec![timer],
        cursor: Some(Cursor {
            stream: "SHOP".into(),
            sequence: 6,
            ..Cursor::default()
        }),
        digest: vec![0xcd; 32],
        block: Some(block),
        written_ms: 1_795_000_000_000,
        ..Record::new("ORD-1")
    }
}

async fn shop_with(server: &Server, record: &Record) -> Place {
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    let api = api(server).await;
    let publisher = Publisher::new(api.connection().clone(), 1)
        .await
        .expect("a publisher");
    let ledger = Ledger::open(
        api.connection().clone(),
        publisher,
        Lineage::new("order", 1).expect("a lineage"),
    );
    let options = CommitOptions {
        ttl: None,
        hold: true,
        commit_id: CommitId::random(),
    };
    let token = entity_token(&record.key);
    let written = ledger
        .commit(&token, 0, record::encode(record).into(), &options)
        .await;
    let CommitResult::Committed { revision } = written else {
        panic!("{written:?}")
    };
    for sequence in [7, 9] {
        let parked = Parking::new(ledger.clone())
            .write(
                &token,
                &EntryPosition::Stream(sequence),
                &"entry".into(),
                revision,
            )
            .await;
        assert_eq!(parked, ParkResult::Parked);
    }
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_shown_with_status_queue_timers_state_and_digest() {
    let server = Server::start();
    let place = shop_with(&server, &troubled()).await;
    let show = [
        "entity",
        "show",
        "order",
        "ORD-1",
        "--handlers",
        "target/bundles",
    ];
    let view = place
        .wharf(&[&show[..], &["-o", "json"]].concat())
        .expect(0)
        .json();
    let view = &view["data"];
    assert_eq!(view["status"], "dead");
    assert_eq!(
        (
            &view["queue"]["head"],
            &view["queue"]["tail"],
            &view["entries"]
        ),
        (&7.into(), &9.into(), &2.into())
    );
    assert_eq!(
        (
            &view["trouble"]["attempts"],
            &view["trouble"]["guest_faults"]
        ),
        (&8.into(), &1.into())
    );
    assert_eq!(
        (&view["trouble"]["code"], &view["trouble"]["message"]),
        (&"no-stock".into(), &"the shelf is empty".into())
    );
    assert_eq!(
        view["timers"][0],
        serde_json::json!({ "name": "unpaid", "due": "2100-01-01T00:00:00Z" })
    );
    assert_eq!(
        (&view["state"]["version"], &view["state"]["json"]["status"]),
        (&2.into(), &"open".into())
    );
    assert_eq!(
        view["cursor"],
        serde_json::json!({ "stream": "SHOP", "sequence": 6 })
    );
    assert_eq!(view["digest"], format!("sha256-{}", "cd".repeat(32)));

    let Run { out, .. } = place.wharf(&show).expect(0);
    for part in [
        "status      dead",
        "no-stock: the shelf is empty",
        "sequences 7 to 9",
        "\"status\": \"open\"",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_content_type_decides_how_the_state_is_printed() {
    let server = Server::start();
    let place = shop_with(&server, &troubled()).await;
    let binary = cli_support::ORDER.replace(
        "version = 2",
        "version = 2\ncontent_type = \"application/octet-stream\"",
    );
    place.write("target/bundles/order/handler.toml", binary);
    let show = ["entity", "show", "order", "ORD-1", "-o", "json"];
    let known = place
        .wharf(&[&show[..], &["--handlers", "target/bundles"]].concat())
        .expect(0)
        .json();
    assert!(
        known["data"]["state"]["hex"]
            .as_str()
            .is_some_and(|hex| hex.starts_with("7b22")),
        "{known:#}"
    );
    let unknown = place.wharf(&show).expect(0).json();
    assert_eq!(
        unknown["data"]["state"]["json"]["status"], "open",
        "the bytes decide when nobody says"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_handler_and_an_unknown_key_are_not_found() {
    let server = Server::start();
    let place = shop_with(&server, &troubled()).await;
    let code = |handler: &str, key: &str| {
        place
            .wharf(&["entity", "show", handler, key, "-o", "json"])
            .expect(4)
            .error_code()
    };
    assert_eq!(code("ordr", "ORD-1"), "WH0108");
    assert_eq!(code("Not A Handler", "ORD-1"), "WH0108");
    assert_eq!(code("order", "ORD-404"), "WH0701");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_this_version_cannot_read_is_said_and_left_alone() {
    let server = Server::start();
    let place = shop_with(&server, &troubled()).await;
    let subject = format!("wl.order-1.r.{}", entity_token("ORD-2"));
    server.publish_raw(&subject, b"", b"\x02from another version");
    let run = place
        .wharf(&["entity", "show", "order", "ORD-2", "-o", "json"])
        .expect(1);
    assert_eq!(run.error_code(), "WH0702");
}

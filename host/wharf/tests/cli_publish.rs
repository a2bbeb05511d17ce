//! `wharf publish`: finds the subject, stores one event, and follows it.

mod cli_support;

use cli_support::{Place, Server, api};
use wharf_core::ids::{content_hash, entity_token, event_hash};
use wharf_core::record::{self, Block, Record, SeenId, Status};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::ledger::{CommitId, CommitOptions, CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Publisher;

fn provisioned(server: &Server) -> Place {
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    place
}

/// What a host would have written for order A.
async fn write_record(api: &Api, record: &Record) {
    let publisher = Publisher::new(api.connection().clone(), 1)
        .await
        .expect("a publisher");
    let lineage = Lineage::new("order", 1).expect("a lineage");
    let ledger = Ledger::open(api.connection().clone(), publisher, lineage);
    let options = CommitOptions {
        ttl: None,
        hold: false,
        commit_id: CommitId::random(),
    };
    let token = entity_token(&record.key);
    let before = ledger
        .load_leader(&token)
        .await
        .expect("an answer")
        .map_or(0, |stored| stored.revision);
    let written = ledger
        .commit(&token, before, record::encode(record).into(), &options)
        .await;
    assert!(
        matches!(written, CommitResult::Committed { .. }),
        "{written:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_where_the_manifests_say_with_everything_a_reader_needs() {
    let server = Server::start();
    let place = provisioned(&server);
    place.write("order.json", "{\"lines\":[]}");
    let data = [
        "--data",
        "@order.json",
        "--header",
        "ce-tenant=blue",
        "--header",
        "priority=high",
    ];
    let arguments = [
        &[
            "publish",
            "order.placed",
            "--key",
            "ORD 1.x",
            "--id",
            "web-1",
            "-o",
            "json",
        ],
        &data[..],
    ]
    .concat();
    let document = place.wharf(&arguments).expect(0).json();
    let report = &document["data"];
    assert_eq!(report["subject"], "shop.order.ORD%201%2Ex.placed");
    assert_eq!(
        (report["stream"].as_str(), report["sequence"].as_u64()),
        (Some("SHOP"), Some(1))
    );
    assert_eq!(
        (&report["id"], &report["duplicate"]),
        (&"web-1".into(), &false.into())
    );

    let api = api(&server).await;
    let stored = api
        .message("SHOP", &Query::at(1))
        .await
        .expect("an answer")
        .expect("the event");
    assert_eq!(stored.data, "{\"lines\":[]}");
    let header = |name: &str| {
        stored
            .header(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", "web-1"),
        ("ce-type", "order.placed"),
        ("ce-source", "wharf-cli"),
        ("ce-tenant", "blue"),
        ("priority", "high"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(header(name).as_deref(), Some(value), "{name}");
    }
    let trace_id = report["trace_id"].as_str().expect("a trace id");
    assert!(header("traceparent").is_some_and(|parent| parent.contains(trace_id)));

    let again = place.wharf(&arguments).expect(0).json();
    assert_eq!(
        (&again["data"]["duplicate"], &again["data"]["sequence"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn an_id_of_another_source_is_another_event_and_one_with_other_data_is_refused() {
    let server = Server::start();
    let place = provisioned(&server);
    let publish = |more: &[&str]| {
        let event = [
            "publish",
            "order.placed",
            "--key",
            "A",
            "--id",
            "1",
            "-o",
            "json",
        ];
        place.wharf(&[&event[..], more].concat())
    };
    assert_eq!(publish(&[]).expect(0).json()["data"]["sequence"], 1);
    let other = publish(&["--source", "web"]).expect(0).json();
    assert_eq!(other["data"]["sequence"], 2, "ids belong to their source");
    let conflict = publish(&["--data", "[1]"]).expect(5);
    assert_eq!(conflict.error_code(), "WH0611");
    assert_eq!(conflict.json()["error"]["place"], "SHOP 1");
}

#[test]
fn a_type_that_no_manifest_or_more_than_one_tells_is_refused_with_what_to_do() {
    let place = Place::shop("nats://127.0.0.1:1");
    let run = place
        .wharf(&["publish", "order.shipped", "--key", "A", "-o", "json"])
        .expect(4);
    assert_eq!(run.error_code(), "WH0602");

    let other = cli_support::ORDER
        .replace("shop.order", "shop.archive.order")
        .replace("\"order\"", "\"archive\"");
    place.write("target/bundles/archive/handler.toml", other);
    let document = place
        .wharf(&["publish", "order.placed", "--key", "A", "-o", "json"])
        .expect(5)
        .json();
    assert_eq!(document["error"]["code"], "WH0603");
    let message = document["error"]["message"].as_str().expect("a message");
    for part in [
        "shop.order.A.placed (order)",
        "shop.archive.order.A.placed (archive)",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(
        document["error"]["remedy"]
            .to_string()
            .contains("--subject")
    );
}

#[test]
fn a_subject_that_no_stream_holds_is_refused_and_nothing_is_sent() {
    let server = Server::start();
    let place = provisioned(&server);
    let run = place
        .wharf(&[
            "publish",
            "order.note",
            "--subject",
            "shp.order.A.note",
            "-o",
            "json",
        ])
        .expect(5);
    assert_eq!(run.error_code(), "WH0604");
    let sent = place
        .wharf(&["publish", "order.note", "--subject", "shop.order.A.note"])
        .expect(0);
    assert!(sent.out.contains("SHOP 1"), "{sent:?}");
}

#[test]
fn bad_keys_subjects_data_and_sizes_are_refused_each_with_its_code() {
    let server = Server::start();
    let place = provisioned(&server);
    place.write("big.json", format!("\"{}\"", "x".repeat(2 << 20)));
    let long = "k".repeat(257);
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--key", ""], 2, "WH0601"),
        (&["--key", &long], 2, "WH0601"),
        (&["--subject", "shop.order.*.placed"], 2, "WH0605"),
        (&["--key", "A", "--data", "{\"lines\":"], 2, "WH0606"),
        (&["--key", "A", "--data", "@nowhere.json"], 2, "WH0606"),
        (&["--key", "A", "--data", "@big.json"], 5, "WH0607"),
    ];
    for (arguments, exit, code) in cases {
        let run = place.wharf(&[&["publish", "order.placed", "-o", "json"], arguments].concat());
        assert_eq!(
            (run.code, run.error_code().as_str()),
            (exit, code),
            "{arguments:?}"
        );
    }
}

#[test]
fn waiting_without_a_host_ends_with_what_is_known() {
    let server = Server::start();
    let place = provisioned(&server);
    let run = place
        .wharf(&[
            "publish",
            "order.confirmed",
            "--key",
            "A",
            "--wait=300ms",
            "-o",
            "json",
        ])
        .expect(7);
    let document = run.json();
    assert_eq!(document["error"]["code"], "WH0609");
    assert_eq!(
        document["data"]["sequence"], 1,
        "what was stored is told all the same"
    );
    let handlers = document["data"]["handlers"].as_array().expect("handlers");
    assert_eq!(handlers.len(), 1, "only mail reads it: {handlers:?}");
    assert_eq!(
        (&handlers[0]["handler"], &handlers[0]["outcome"]),
        (&"mail".into(), &"pending".into())
    );
}

/// The event `web-1` of order A in trouble.
fn in_trouble(status: Status, block: Block) -> Record {
    let event = event_hash("wharf-cli", "web-1").to_vec();
    let mut block = Block { event, ..block };
    block.set_status(status);
    Record {
        block: Some(block),
        ..Record::new("A")
    }
}

/// The event `web-1` of order A, done.
fn done() -> Record {
    let event = event_hash("wharf-cli", "web-1");
    let content = content_hash("order.placed", "shop.order.A.placed", b"{}");
    let mut record = Record {
        digest: vec![0xab; 32],
        ..Record::new("A")
    };
    record.remember(
        SeenId {
            event,
            content,
            at_s: u32::MAX,
        },
        8,
        60_000,
    );
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_tells_the_fate_from_the_handlers_record() {
    let server = Server::start();
    let place = provisioned(&server);
    let api = api(&server).await;
    let event = ["publish", "order.placed", "--key", "A", "--id", "web-1"];
    let wait = || place.wharf(&[&event[..], &["--wait=300ms", "-o", "json"]].concat());

    let gateway = Block {
        need: "gateway".into(),
        ..Block::default()
    };
    write_record(&api, &in_trouble(Status::WaitingNeed, gateway)).await;
    let waiting = wait().expect(7).json();
    let fate = &waiting["data"]["handlers"][0];
    assert_eq!(
        (&fate["outcome"], &fate["need"]),
        (&"waiting-need".into(), &"gateway".into())
    );

    let no_lines = Block {
        code: "no-lines".into(),
        head: 1,
        tail: 1,
        ..Block::default()
    };
    write_record(&api, &in_trouble(Status::Dead, no_lines)).await;
    let dead = wait().expect(1).json();
    assert_eq!(dead["error"]["code"], "WH0610");
    assert_eq!(dead["data"]["handlers"][0]["code"], "no-lines", "{dead:#}");

    write_record(&api, &done()).await;
    let settled = wait().expect(0).json();
    let fate = &settled["data"]["handlers"][0];
    assert_eq!(
        fate["outcome"], "committed",
        "by the first copy: {settled:#}"
    );
    assert_eq!(fate["digest"], "ab".repeat(32));
}

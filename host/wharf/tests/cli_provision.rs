//! `wharf provision`: makes what is missing, once, and changes nothing.

mod cli_support;

use cli_support::{Place, Server, api, wharf_toml};
use serde_json::Value;
use wharf_core::checkpoint;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::api::stream::StreamConfig;
use wharf_jetstream::ledger::{CommitResult, Ledger};
use wharf_jetstream::names::Lineage;
use wharf_jetstream::publisher::Publisher;

/// What the shop has on the broker.
const ASSETS: [&str; 10] = [
    "stream KV_WHARF",
    "stream OBJ_WHARF-CODE",
    "stream SHOP",
    "stream WHARF-L-mail-1",
    "consumer mail-1 of stream SHOP",
    "stream WHARF-L-order-1",
    "stream WHARF-T-order-1",
    "consumer fire-0 of stream WHARF-T-order-1",
    "checkpoint mail-1/0",
    "checkpoint order-1/0",
];

fn steps(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let steps = document["data"]["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| (text(&step["asset"]), text(&step["action"])))
        .collect()
}

fn all(action: &str) -> Vec<(String, String)> {
    ASSETS
        .iter()
        .map(|asset| ((*asset).to_owned(), action.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_makes_nothing_and_applying_twice_makes_everything_once() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    let api = api(&server).await;

    let plan = place
        .wharf(&["provision", "--dry-run", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(steps(&plan), all("create"));
    assert!(
        api.stream("SHOP").await.expect("an answer").is_none(),
        "a dry run makes nothing"
    );

    let made = place.wharf(&["provision", "-o", "json"]).expect(0).json();
    assert_eq!(steps(&made), all("created"));
    let again = place.wharf(&["provision", "-o", "json"]).expect(0).json();
    assert_eq!(steps(&again), all("exists"));
    let table = place.wharf(&["provision", "--dry-run"]).expect(0);
    assert!(
        table.out.starts_with("ASSET") && table.err.contains("Next: wharf host"),
        "{table:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_checkpoint_begins_where_the_manifest_says_and_is_never_written_over() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    let api = api(&server).await;
    let lineage = Lineage::new("order", 1).expect("a lineage");
    let subject = lineage.checkpoint(0);
    let query = Query::last(&subject);
    let read = async || {
        let found = api
            .message("WHARF-L-order-1", &query)
            .await
            .expect("an answer")
            .expect("a checkpoint");
        (
            found.sequence,
            checkpoint::decode(&found.data).expect("a checkpoint"),
        )
    };
    let (revision, first) = read().await;
    assert_eq!(
        (
            first.watermark,
            first.released,
            first.epoch,
            first.stream.as_str()
        ),
        (0, true, 0, "SHOP")
    );
    let created = api
        .stream("SHOP")
        .await
        .expect("an answer")
        .expect("the stream")
        .created_ns;
    assert_eq!(first.created_ns, created);

    let publisher = Publisher::new(api.connection().clone(), 1)
        .await
        .expect("a publisher");
    let ledger = Ledger::open(api.connection().clone(), publisher, lineage.clone());
    let worked = checkpoint::Checkpoint {
        epoch: 3,
        owner: "a host".into(),
        ..first
    };
    let written = ledger
        .write_checkpoint(0, revision, checkpoint::encode(&worked).into())
        .await;
    assert!(
        matches!(written, CommitResult::Committed { .. }),
        "{written:?}"
    );
    place.wharf(&["provision"]).expect(0);
    assert_eq!(read().await.1, worked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_handler_begins_behind_what_the_stream_holds_already() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    place.write(
        "target/bundles/order/handler.toml",
        cli_support::ORDER.replace("start = \"all\"", "start = \"new\""),
    );
    let api = api(&server).await;
    let config = StreamConfig {
        max_bytes: 64 << 20,
        ..shop_stream()
    };
    api.create_stream(&config, 0)
        .await
        .expect("the stream is made");
    let publisher = Publisher::new(api.connection().clone(), 1)
        .await
        .expect("a publisher");
    for _ in 0..3 {
        publisher
            .publish("shop.order.A.placed", None, "{}".into())
            .await
            .expect("stored");
    }
    let plan = place.wharf(&["provision", "--dry-run"]).expect(0);
    assert!(plan.out.contains("behind sequence 3"), "{plan:?}");
    place.wharf(&["provision"]).expect(0);
    let subject = "wl.order-1.c.0";
    let found = api
        .message("WHARF-L-order-1", &Query::last(subject))
        .await
        .expect("an answer")
        .expect("a checkpoint");
    let first = checkpoint::decode(&found.data).expect("a checkpoint");
    let last = api
        .message("SHOP", &Query::at(3))
        .await
        .expect("an answer")
        .expect("the event");
    assert_eq!(
        (first.watermark, first.high, first.watermark_stored_ns),
        (3, 3, last.stored_ns)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_shape_is_refused_by_field_and_nothing_is_made() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    let api = api(&server).await;
    let config = StreamConfig {
        max_age: 600_000_000_000,
        max_bytes: 64 << 20,
        ..shop_stream()
    };
    api.create_stream(&config, 0)
        .await
        .expect("the stream is made");

    let run = place.wharf(&["provision", "-o", "json"]).expect(5);
    let document = run.json();
    assert_eq!(document["error"]["code"], "WH0302");
    assert_eq!(document["error"]["place"], "stream SHOP");
    let shop = &document["data"]["steps"][2];
    assert_eq!(
        (&shop["asset"], &shop["action"]),
        (&Value::from("stream SHOP"), &Value::from("differs"))
    );
    let details = shop["details"].to_string();
    assert!(
        details.contains("max_age") && details.contains("nats stream edit SHOP"),
        "{details}"
    );
    assert!(
        api.stream("WHARF-L-order-1")
            .await
            .expect("an answer")
            .is_none(),
        "nothing else is made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_subscription_than_the_checkpoints_is_left_to_the_hosts_or_refused() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    let other = cli_support::ORDER.replace(", \"shop.order.{order}.paid\"", "");
    place.write("target/bundles/order/handler.toml", other);
    let run = place.wharf(&["provision"]).expect(0);
    assert!(run.out.contains("of another [[on]]"), "{run:?}");

    let other = cli_support::MAIL.replace("confirmed", "paid");
    assert_ne!(other, cli_support::MAIL);
    place.write("target/bundles/mail/handler.toml", other);
    let run = place.wharf(&["provision"]).expect(5);
    assert!(run.out.contains("subscribes to other subjects"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_write_more_than_the_broker_takes_is_refused_and_nothing_is_made() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    let large = format!("{}\n[limits]\nstate_bytes = \"1MiB\"\n", cli_support::ORDER);
    place.write("target/bundles/order/handler.toml", large);
    let document = place.wharf(&["provision", "-o", "json"]).expect(3).json();
    assert_eq!(document["error"]["code"], "WH0102");
    let problem = &document["error"]["problems"][0];
    assert_eq!(problem["code"], "record-too-large", "{document:#}");
    let told = problem.to_string();
    assert!(
        told.contains("order/handler.toml") && told.contains("max_payload"),
        "{told}"
    );
    let shop = api(&server).await.stream("SHOP").await;
    assert!(shop.expect("an answer").is_none(), "nothing is made");
}

#[test]
fn a_broker_that_is_absent_is_named_with_its_address() {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let url = format!("nats://127.0.0.1:{port}");
    let place = Place::shop(&url);
    let run = place.wharf(&["provision"]).expect(6);
    for part in [
        "error[WH0201]",
        url.as_str(),
        "--nats-url",
        "docs/errors/WH0201.md",
    ] {
        assert!(run.err.contains(part), "{part}: {run:?}");
    }
    assert_eq!(
        place
            .wharf(&["provision", "-o", "json"])
            .expect(6)
            .error_code(),
        "WH0201"
    );
}

#[test]
fn a_broker_without_jetstream_and_a_user_without_permission_are_refused_as_such() {
    let server = Server::without_jetstream();
    let place = Place::shop(&server.url());
    assert_eq!(
        place
            .wharf(&["provision", "-o", "json"])
            .expect(5)
            .error_code(),
        "WH0207"
    );

    let users = r#"authorization { users: [
        { user: "poor", password: "p", permissions: { publish: { deny: ["$JS.>"] } } } ] }"#;
    let server = Server::configured(users);
    let url = server.url().replace("nats://", "nats://poor:p@");
    let place = Place::shop(&url);
    let document = place.wharf(&["provision", "-o", "json"]).expect(5).json();
    assert_eq!(document["error"]["code"], "WH0206");
    assert!(
        document["error"]["message"]
            .to_string()
            .contains("$JS.API.INFO"),
        "{document:#}"
    );
    let wrong = place
        .wharf(&["provision", "--nats-url", &server.url(), "-o", "json"])
        .expect(5);
    assert_eq!(wrong.error_code(), "WH0202");
}

#[test]
fn problems_in_the_files_stop_it_before_the_broker_is_asked() {
    let place = Place::shop("nats://127.0.0.1:1");
    place.write(
        "wharf.toml",
        wharf_toml("nats://127.0.0.1:1").replace("SHOP", "SHIP"),
    );
    let document = place.wharf(&["provision", "-o", "json"]).expect(3).json();
    assert_eq!(document["error"]["code"], "WH0102");
    assert_eq!(
        document["error"]["problems"][0]["code"], "unknown-stream",
        "{document:#}"
    );
}

fn shop_stream() -> StreamConfig {
    use wharf_jetstream::api::stream::Discard;
    StreamConfig {
        discard: Discard::New,
        allow_direct: true,
        duplicate_window: 120_000_000_000,
        ..StreamConfig::new("SHOP", vec!["shop.>".to_owned()])
    }
}

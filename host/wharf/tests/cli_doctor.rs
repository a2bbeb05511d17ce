//! `wharf doctor`: what the broker can do and whether it keeps what it
//! acknowledged.

mod cli_support;

use std::net::TcpListener;

use cli_support::{Place, Server};
use serde_json::Value;

fn findings<'d>(document: &'d Value, topic: &str) -> Vec<(&'d str, &'d str)> {
    let all = document["data"]["findings"].as_array().expect("findings");
    let of_topic = all.iter().filter(|finding| finding["topic"] == topic);
    let text = |value: &'d Value| value.as_str().expect("a text");
    of_topic
        .map(|finding| (text(&finding["verdict"]), text(&finding["fact"])))
        .collect()
}

#[test]
fn one_replica_is_told_in_plain_words_and_fails() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    let document = place.wharf(&["doctor", "-o", "json"]).expect(1).json();
    assert_eq!(document["error"]["code"], "WH0801");
    assert_eq!(document["data"]["keeps_what_it_acknowledged"], false);
    let durability = findings(&document, "durability");
    let (verdict, replicas) = durability[0];
    assert_eq!(verdict, "bad", "{durability:#?}");
    for part in [
        "SHOP",
        "WHARF-L-order-1",
        "WHARF-T-order-1",
        "what its server's disk loses is lost",
    ] {
        assert!(replicas.contains(part), "{part}: {replicas}");
    }
    let (verdict, disk) = durability[1];
    assert!(
        verdict == "advice" && disk.contains("writes to disk"),
        "{durability:#?}"
    );
    // A ledger keeps one message a subject on purpose, a timer stream what is
    // not answered.
    assert_eq!(durability.len(), 2, "{durability:#?}");
    assert_eq!(
        findings(&document, "assets"),
        [(
            "good",
            "10 streams, consumers and checkpoints are as they should be"
        )]
    );
    assert_eq!(
        findings(&document, "permissions"),
        [("good", "this user may do what Wharf does")]
    );
    let (verdict, fact) = findings(&document, "server")[0];
    assert!(
        verdict == "good" && fact.starts_with("nats-server 2."),
        "{fact}"
    );
    assert_eq!(findings(&document, "clock").len(), 1);

    let quiet = place.wharf(&["doctor", "--quiet"]).expect(1);
    assert!(
        quiet
            .out
            .lines()
            .filter(|line| !line.starts_with(' '))
            .all(|line| line.starts_with("BAD")),
        "{quiet:?}"
    );
}

#[test]
fn looking_for_permissions_stores_and_removes_nothing() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    place.wharf(&["provision"]).expect(0);
    place
        .wharf(&["publish", "order.placed", "--key", "A"])
        .expect(0);
    place.wharf(&["doctor"]).expect(1);
    let next = place
        .wharf(&["publish", "order.placed", "--key", "B"])
        .expect(0);
    assert!(
        next.out.contains("SHOP 2"),
        "the doctor stored nothing: {next:?}"
    );
    let plan = place.wharf(&["provision", "--dry-run"]).expect(0);
    assert!(
        !plan.out.contains("create"),
        "the doctor removed nothing: {plan:?}"
    );
}

#[test]
fn what_is_missing_or_forbidden_is_named() {
    let server = Server::start();
    let place = Place::shop(&server.url());
    let document = place.wharf(&["doctor", "-o", "json"]).expect(5).json();
    assert_eq!(document["error"]["code"], "WH0301");
    assert!(
        findings(&document, "assets").contains(&("bad", "stream SHOP is missing")),
        "{document:#}"
    );

    let users = r#"authorization { users: [
        { user: "all", password: "p" },
        { user: "poor", password: "p", permissions: { publish: { deny: ["wl.>", "$JS.API.CONSUMER.CREATE.>"] } } } ] }"#;
    let server = Server::configured(users);
    let rich = Place::shop(&server.url().replace("nats://", "nats://all:p@"));
    rich.wharf(&["provision"]).expect(0);
    let poor = Place::shop(&server.url().replace("nats://", "nats://poor:p@"));
    let document = poor.wharf(&["doctor", "-o", "json"]).expect(5).json();
    assert_eq!(document["error"]["code"], "WH0206");
    let facts: Vec<&str> = findings(&document, "permissions")
        .into_iter()
        .map(|(_, fact)| fact)
        .collect();
    for part in [
        "wl.order-1.r.",
        "wl.mail-1.p.",
        "$JS.API.CONSUMER.CREATE.SHOP.",
    ] {
        assert!(
            facts.iter().any(|fact| fact.contains(part)),
            "{part}: {facts:#?}"
        );
    }
}

#[test]
fn a_broker_without_jetstream_is_a_finding_and_needs_are_looked_at_all_the_same() {
    let server = Server::without_jetstream();
    let place = Place::shop(&server.url());
    let up = TcpListener::bind("127.0.0.1:0").expect("a port");
    let down = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let up_at = up.local_addr().expect("its address");
    place.write(
        "needs.toml",
        format!("[needs.up]\nurl = \"http://{up_at}\"\n[needs.down]\nurl = \"http://{down}\"\n"),
    );
    let document = place.wharf(&["doctor", "-o", "json"]).expect(5).json();
    assert_eq!(document["error"]["code"], "WH0207");
    let needs = findings(&document, "needs");
    assert_eq!(needs.len(), 2);
    assert!(
        needs[0].0 == "advice" && needs[0].1.starts_with("down at"),
        "{needs:?}"
    );
    assert!(
        needs[1].0 == "good" && needs[1].1.starts_with("up at"),
        "{needs:?}"
    );
}

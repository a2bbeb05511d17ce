//! Brokers that cannot serve, or not yet, and a place that is set up wrongly.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use wharf_demo::client;
use wharf_demo::process::{HostProcess, free_port, loopback};

use crate::bundles::{self, Bundle};
use crate::proxy::{self, Older};
use crate::run::{Run, run};
use crate::server::Server;
use crate::stage::{Stage, keep, kept};
use crate::support::{READY_WITHIN, SOON, until};
use crate::{ALONE, watch};

/// Runs `wharf host` on a broker until it gives up.
fn host(url: &str, place: &TempDir) -> Run {
    let arguments = [
        "host",
        "--handlers",
        ".",
        "--listen",
        "127.0.0.1:0",
        "--nats-url",
        url,
        "-o",
        "json",
    ];
    run(place.path(), &arguments)
}

/// One handler, and the stream it reads.
fn place() -> TempDir {
    let place = bundles::folder(&[keep()]);
    std::fs::write(
        place.path().join("wharf.toml"),
        "[streams.TEST]\nsubjects = [\"test.>\"]\n",
    )
    .expect("written");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_waited_for_and_found_when_it_comes() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    stage.host.term(SOON).await.expect("it drains");
    stage.site.nats.stop().await.expect("the broker stops");
    let said_before = stage.site.host_log().len();

    let mut host = stage.site.start_host();
    let listen = stage.site.options.listen;
    let status = async |path: &str| {
        client::get(listen, path, SOON)
            .await
            .ok()
            .map(|answer| answer.status)
    };
    let waiting = || {
        let log = stage.site.host_log();
        let said = &log[said_before..];
        said.contains("waiting for the broker") && said.contains("connection refused")
    };
    until("it to say for what it waits", SOON, async || {
        waiting().then_some(())
    })
    .await;
    assert_eq!(status("/health").await, Some(StatusCode::OK));
    assert_eq!(
        status("/ready").await,
        Some(StatusCode::SERVICE_UNAVAILABLE)
    );

    stage
        .site
        .nats
        .start_again()
        .await
        .expect("the broker comes back");
    host.wait_ready(READY_WITHIN)
        .await
        .expect("it found the broker");
    assert_handles(&stage, "k").await;
}

async fn assert_handles(stage: &Stage, key: &str) {
    let mut wire = crate::wire::Wire::connect(stage.site.nats.port());
    let sequence = wire.publish(&kept(key, "1", "done"));
    let ledger = stage.site.ledger("keep").await;
    watch::settled(&ledger, sequence).await;
    assert_eq!(watch::text(&ledger, key).await, "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_waiting_for_its_broker_ends_at_once_when_it_is_told_to() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    stage.host.term(SOON).await.expect("it drains");
    stage.site.nats.stop().await.expect("the broker stops");
    let mut host: HostProcess = stage.site.start_host();
    let listen = stage.site.options.listen;
    until("health", SOON, async || {
        client::get(listen, "/health", SOON).await.ok()
    })
    .await;
    let ended = host
        .term(Duration::from_secs(20))
        .await
        .expect("it was told");
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_broker_without_jetstream_is_refused() {
    let server = Server::without_jetstream();
    let error = host(&server.url(), &place()).refused("WH0207", 5);
    assert!(
        error["remedy"]
            .as_str()
            .is_some_and(|remedy| remedy.contains("jetstream")),
        "{error}"
    );
}

#[test]
fn a_server_that_is_too_old_is_refused_by_its_version() {
    let server = Server::start();
    let place = place();
    for (version, api_level) in [("2.10.29", 0), ("2.11.9", 1)] {
        let port = proxy::before(server.port(), Older { version, api_level });
        let error = host(&format!("nats://127.0.0.1:{port}"), &place).refused("WH0208", 5);
        let text = error.to_string();
        assert!(text.contains(version) && text.contains("2.12"), "{error}");
    }
    // The same way through to the server as it is leads on, to what is missing there.
    let port = proxy::before(
        server.port(),
        Older {
            version: "2.12.0",
            api_level: 2,
        },
    );
    host(&format!("nats://127.0.0.1:{port}"), &place).refused("WH0301", 5);
}

/// A server whose user `u`, with the password `secret`, may not do everything.
fn restricted(rule: &str) -> (Server, String) {
    let user = format!("{{ user: u, password: secret, permissions: {{ {rule} }} }}");
    let server = Server::configured(&format!("authorization {{ users = [ {user} ] }}"));
    let url = format!("nats://u:secret@127.0.0.1:{}", server.port());
    (server, url)
}

#[test]
fn a_permission_that_is_missing_is_named() {
    let cases = [
        (r#"publish: { deny: ["$JS.API.>"] }"#, "$JS.API.INFO"),
        (
            r#"publish: { deny: ["$JS.API.STREAM.INFO.>"] }"#,
            "$JS.API.STREAM.INFO",
        ),
        (r#"subscribe: { deny: ["_INBOX.>"] }"#, "_INBOX."),
    ];
    for (rule, subject) in cases {
        let (_server, url) = restricted(rule);
        let error = host(&url, &place()).refused("WH0206", 5);
        assert!(error.to_string().contains(subject), "{rule}: {error}");
        assert!(
            !error.to_string().contains("secret"),
            "a password is shown: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_may_not_be_written_is_named() {
    let rule = r#"publish: { deny: ["wl.>"] }"#;
    let users = format!(
        "authorization {{ users = [ {{ user: all, password: p }}, {{ user: u, password: p, permissions: {{ {rule} }} }} ] }}"
    );
    let server = Server::configured(&users);
    let url = |user: &str| format!("nats://{user}:p@127.0.0.1:{}", server.port());
    let place = place();
    let provision = [
        "provision",
        "--handlers",
        ".",
        "--nats-url",
        &url("all"),
        "-o",
        "json",
    ];
    let provisioned = run(place.path(), &provision);
    assert_eq!(provisioned.code, Some(0), "{provisioned:?}");
    let error = host(&url("u"), &place).refused("WH0206", 5);
    assert!(error.to_string().contains("wl.keep-1."), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_not_accepted_is_said_and_never_shown() {
    let _alone = ALONE.lock().await;
    let (server, _) = restricted("");
    let stage = Stage::set(&[keep()]).await;
    let mut options = stage.site.options.clone();
    let text = std::fs::read_to_string(&options.config).expect("wharf.toml");
    let url = format!("nats://u:hunter2@127.0.0.1:{}", server.port());
    let (listen, other) = (options.listen, loopback(free_port().expect("a free port")));
    let text = text
        .replace(&stage.site.nats.url(), &url)
        .replace(&listen.to_string(), &other.to_string());
    options.config = stage.site.options.config.with_file_name("wrong.toml");
    options.log = options.log.with_file_name("wrong.log");
    options.listen = other;
    std::fs::write(&options.config, text).expect("written");
    let mut host = HostProcess::start(&options).expect("it starts");
    let log = || std::fs::read_to_string(&options.log).unwrap_or_default();
    until("it to say so", SOON, async || {
        log()
            .contains("does not accept the credentials")
            .then_some(())
    })
    .await;
    let ready = client::get(other, "/ready", SOON)
        .await
        .expect("it answers");
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!log().contains("hunter2"), "the password is in the log");
    host.require_running()
        .expect("credentials may be corrected while it waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_shape_is_refused_and_left_as_it_is() {
    let server = Server::start();
    let client = async_nats::connect(server.url())
        .await
        .expect("the broker accepts");
    let ask = async |what: &str, body: serde_json::Value| {
        let answer = client
            .request(
                format!("$JS.API.STREAM.{what}.TEST"),
                body.to_string().into(),
            )
            .await;
        let answer = answer.expect("the broker answers");
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
        assert!(answer["error"].is_null(), "{answer}");
        answer["config"].clone()
    };
    let place = place();
    host(&server.url(), &place).refused("WH0301", 5);
    let shapes = [
        (
            json!({"name": "TEST", "subjects": ["other.>"], "discard": "new"}),
            "WH0302",
            "subjects",
        ),
        (
            json!({"name": "TEST", "subjects": ["test.>"], "discard": "old", "max_msgs": 10}),
            "WH0302",
            "discard",
        ),
        (
            json!({"name": "TEST", "subjects": ["test.>"], "discard": "new", "retention": "workqueue"}),
            "WH0302",
            "retention",
        ),
    ];
    for (shape, code, says) in shapes {
        let made = ask("CREATE", shape.clone()).await;
        let error = host(&server.url(), &place).refused(code, 5);
        assert!(
            error.to_string().contains(says)
                && error["place"]
                    .as_str()
                    .is_some_and(|at| at.contains("TEST")),
            "{error}"
        );
        let provision = [
            "provision",
            "--handlers",
            ".",
            "--nats-url",
            &server.url(),
            "-o",
            "json",
        ];
        run(place.path(), &provision).refused(code, 5);
        assert_eq!(ask("INFO", json!({})).await, made, "it was changed");
        ask("DELETE", json!({})).await;
    }
}

#[test]
fn a_port_in_use_is_refused_with_the_flag_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("its address").to_string();
    let arguments = [
        "host",
        "--handlers",
        ".",
        "--listen",
        &listen,
        "--nats-url",
        "nats://127.0.0.1:9",
        "-o",
        "json",
    ];
    let error = run(place().path(), &arguments).refused("WH0501", 5);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains(&listen)),
        "{error}"
    );
    assert!(
        error["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("--listen")),
        "{error}"
    );
}

#[test]
fn a_need_without_an_address_is_refused_by_name() {
    let place = bundles::folder(&[Bundle::shipped("payment")]);
    let error = host("nats://127.0.0.1:9", &place).refused("WH0503", 3);
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("`payment`") && text.contains("`gateway`")),
        "{error}"
    );
    assert!(
        error["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("wharf needs set gateway")),
        "{error}"
    );

    std::fs::write(
        place.path().join("needs.toml"),
        "[needs.mail]\nurl = \"http://127.0.0.1:9\"\n",
    )
    .expect("written");
    let error = host("nats://127.0.0.1:9", &place).refused("WH0102", 3);
    assert_eq!(error["problems"][0]["code"], "unknown-need", "{error}");
}

/// Each line with a number in its comment is wrong.
const TEN_MISTAKES: &str = r#"stream = "WHARF-L-keep-1"      # 1
strem = "TEST"                 # 2
instance = "new"               # 3
on_dead = "retry"              # 4
max_in_flight = -1             # 5
timers = "unpaid"              # 6

[[on]]
subjects = ["test..{id}"]      # 7

[dedup]
for = "1 fortnight"            # 8

[retry]
factor = 0.5                   # 9

[limits]
emits = 100000                 # 10
"#;

#[test]
fn a_manifest_with_ten_mistakes_is_refused_with_all_ten_at_once() {
    let place = bundles::folder(&[Bundle::new("keep", TEN_MISTAKES, bundles::appender())]);
    let error = host("nats://127.0.0.1:9", &place).refused("WH0102", 3);
    let problems = error["problems"].as_array().expect("problems");
    let lines: BTreeSet<u64> = problems
        .iter()
        .filter_map(|problem| problem["line"].as_u64())
        .collect();
    // The first line is the name that the bundle puts before.
    let wrong = (2..)
        .zip(TEN_MISTAKES.lines())
        .filter(|(_, line)| line.contains('#'));
    assert_eq!(
        lines,
        wrong.map(|(number, _)| number).collect(),
        "{problems:#?}"
    );
    for problem in problems {
        assert!(
            problem["remedy"]
                .as_str()
                .is_some_and(|remedy| !remedy.is_empty()),
            "{problem}"
        );
    }
}

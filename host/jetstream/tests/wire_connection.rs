//! Connecting, failing to connect, losing the connection, and requests that
//! are not answered.

mod common;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;

use common::{Server, connect, plain, settings, soon, stream, until};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wharf_jetstream::connection::{
    Auth, Broker, Link, Purpose, Settings, connect as connect_with, connect_waiting,
};
use wharf_jetstream::error::{Action, Error};

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
}

fn tls_server() -> Server {
    let (cert, key) = (tls_file("server.pem"), tls_file("server-key.pem"));
    Server::configured(&format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}"))
}

async fn refusal(settings: &Settings) -> Error {
    connect_with(settings, &Purpose::Control)
        .await
        .expect_err("no connection")
}

/// An address where nothing listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("nats://{}", listener.local_addr().expect("its address"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_no_connection_is_made_is_told_apart() {
    let refused = refusal(&Settings::new("test", nowhere())).await;
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");

    let locked = Server::configured("authorization { user: u, password: secret }");
    let mut settings = settings(&locked);
    assert!(matches!(
        refusal(&settings).await,
        Error::Unauthorized { .. }
    ));
    settings.auth = Auth::User {
        user: "u".into(),
        password: "wrong".into(),
    };
    let unauthorized = refusal(&settings).await;
    assert!(
        matches!(unauthorized, Error::Unauthorized { .. }),
        "{unauthorized}"
    );
    assert!(!unauthorized.to_string().contains("wrong"));
    settings.auth = Auth::User {
        user: "u".into(),
        password: "secret".into(),
    };
    assert!(connect_with(&settings, &Purpose::Control).await.is_ok());

    settings.servers.clear();
    assert!(matches!(refusal(&settings).await, Error::NoServers));
    settings.servers = vec!["nats://a b".to_owned()];
    assert!(matches!(
        refusal(&settings).await,
        Error::ServerAddress { .. }
    ));
    settings.servers = vec![locked.url()];
    settings.auth = Auth::Credentials("/no/such.creds".into());
    let file = refusal(&settings).await;
    assert!(
        file.is_in_settings() && file.to_string().contains("/no/such.creds"),
        "{file}"
    );
}

/// Signs what an operator, an account and a user claim, as the server reads it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: serde_json::Value) -> String {
    let claims = serde_json::json!({
        "jti": "test", "iat": 1, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": nats,
    });
    let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = serde_json::json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn credentials(account: &KeyPair, user: &KeyPair) -> String {
    let limits =
        serde_json::json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 });
    let token = jwt(account, user, limits);
    let seed = user.seed().expect("a key of our own");
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// A server's configuration that accepts users of `account`, but for one.
fn operated(operator: &KeyPair, account: &KeyPair, revoked: &KeyPair) -> String {
    let by_operator = serde_json::json!({ "type": "operator", "version": 2 });
    let by_account = serde_json::json!({
        "limits": { "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
            "wildcards": true, "conn": -1, "leaf": -1 },
        "revocations": { revoked.public_key(): 4_000_000_000_u64 },
        "type": "account", "version": 2,
    });
    format!(
        "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {} }}\n",
        jwt(operator, operator, by_operator),
        account.public_key(),
        jwt(operator, account, by_account)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_were_renewed_are_used_by_the_next_connection() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
    let mut server = Server::plain(&operated(&operator, &account, &new));
    let file = server.folder().join("user.creds");
    std::fs::write(&file, credentials(&account, &new)).expect("written");
    let mut settings = settings(&server);
    settings.auth = Auth::Credentials(file.clone());
    let refused = refusal(&settings).await;
    assert!(matches!(refused, Error::Unauthorized { .. }), "{refused}");
    std::fs::write(&file, credentials(&account, &old)).expect("written");
    let connection = connect_with(&settings, &Purpose::Control)
        .await
        .expect("the user is not revoked");

    // The old user is revoked while the server is away, and the file renewed.
    server.kill();
    server.reconfigure(&operated(&operator, &account, &old));
    std::fs::write(&file, credentials(&account, &new)).expect("written");
    server.restart();
    soon("the renewed credentials", connection.connected()).await;
    until("the new user's connection", async || {
        let flushed = connection.client().flush().await;
        flushed.is_ok() && connection.status().borrow().reconnects == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_needs_a_trusted_authority_and_says_so() {
    let server = tls_server();
    let mut settings = settings(&server);
    let untrusted = refusal(&settings).await;
    assert!(matches!(untrusted, Error::Tls { .. }), "{untrusted:?}");
    settings.tls.ca = Some(tls_file("ca.pem"));
    let connection = connect_with(&settings, &Purpose::Control)
        .await
        .expect("trusted");
    assert!(connection.client().server_info().tls_required);
    settings.tls.ca = Some(tls_file("no-such.pem"));
    let missing = refusal(&settings).await;
    assert!(missing.to_string().contains("no-such.pem"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_may_start_before_its_broker() {
    let mut server = Server::start();
    server.kill();
    let mut failures = Vec::new();
    let settings = settings(&server);
    let mut server = Some(server);
    let mut starting = None;
    let connecting = connect_waiting(&settings, &Purpose::Control, |error, pause| {
        failures.push((error.clone(), pause));
        if failures.len() == 3 {
            // The broker comes up while the process waits.
            let mut late = server.take().expect("once");
            starting = Some(std::thread::spawn(move || {
                late.restart();
                late
            }));
        }
    });
    let connection = soon("the connection", connecting).await.expect("connected");
    let server = starting.expect("begun").join().expect("started");
    assert_eq!(connection.client().server_info().port, server.port());
    assert!(failures.len() >= 3);
    for (error, pause) in failures {
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(pause <= Duration::from_secs(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_the_settings_is_not_waited_for() {
    let mut settings = Settings::new("test", nowhere());
    settings.auth = Auth::Nkey("/no/such.nk".into());
    let waiting = connect_waiting(&settings, &Purpose::Control, |_, _| panic!("no retry"));
    let error = soon("the error", waiting)
        .await
        .expect_err("in the settings");
    assert!(error.is_in_settings(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watch_tells_of_a_lost_connection_and_of_its_return() {
    let mut server = Server::start();
    let connection = connect(&server).await;
    let mut status = connection.status();
    server.kill();
    let down = soon(
        "down",
        status.wait_for(|now| now.link == Link::Disconnected),
    )
    .await;
    assert_eq!(down.expect("watched").reconnects, 0);
    server.restart();
    soon("up", connection.connected()).await;
    until("counted", async || {
        connection.status().borrow().reconnects == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_request_is_denied_and_not_waited_for() {
    let server = Server::configured(
        r#"authorization { users = [ { user: u, password: p, permissions: {
            publish: { deny: ["$JS.API.STREAM.>"] } } } ] }"#,
    );
    let mut settings = settings(&server);
    settings.auth = Auth::User {
        user: "u".into(),
        password: "p".into(),
    };
    let connection = connect_with(&settings, &Purpose::Control)
        .await
        .expect("connected");
    let start = Instant::now();
    let denied = connection
        .api::<serde_json::Value>("STREAM.INFO.A", "".into())
        .await;
    let denied = denied.expect_err("forbidden");
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "not only after the time-out"
    );
    match denied {
        Error::Denied { action, subject } => {
            assert_eq!(
                (action, subject.as_str()),
                (Action::Publish, "$JS.API.STREAM.INFO.A")
            );
        }
        other => panic!("{other}"),
    }
    assert!(
        connection
            .api::<serde_json::Value>("INFO", "".into())
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_tell_refusal_absence_and_silence_apart() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let connection = connect(&server).await;
    let refused = connection
        .api::<serde_json::Value>("STREAM.INFO.B", "".into())
        .await;
    assert_eq!(refused.expect_err("no stream").api_code(), Some(10059));
    let nobody = connection
        .request("nobody.there", "".into())
        .await
        .expect_err("nobody");
    assert!(matches!(nobody, Error::NoResponder { .. }), "{nobody}");
    let other = connection
        .api::<u64>("STREAM.INFO.A", "".into())
        .await
        .expect_err("no number");
    assert!(matches!(other, Error::Malformed { .. }), "{other}");
    server.freeze();
    let silent = soon("a time-out", connection.request("$JS.API.INFO", "".into())).await;
    assert!(matches!(silent, Err(Error::TimedOut { .. })), "{silent:?}");
    server.thaw();

    let plain = Server::without_jetstream();
    let connection = connect(&plain).await;
    let off = connection
        .api::<serde_json::Value>("INFO", "".into())
        .await
        .expect_err("off");
    assert!(matches!(off, Error::NoResponder { .. }), "{off}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_has_a_connection_for_each_purpose_and_one_for_each_handler() {
    let server = Server::configured("");
    let broker = Broker::connect(settings(&server)).await.expect("connected");
    let links = broker.links("order").await.expect("connected");
    let id = |connection: &wharf_jetstream::connection::Connection| {
        connection.client().server_info().client_id
    };
    let connections = [
        broker.control(),
        broker.ledger(),
        broker.emit(),
        &links.consume,
    ];
    let ids: std::collections::BTreeSet<u64> = connections.map(id).into();
    assert_eq!(ids.len(), 4);
    assert_eq!(id(&links.control), id(broker.control()));
}

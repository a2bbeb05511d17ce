//! What a host says about a broker that can or cannot serve.

mod common;

use common::{Server, connect, settings};
use wharf_jetstream::api::LEVEL_SCHEDULES;
use wharf_jetstream::capabilities::{JetStream, Lack, probe};
use wharf_jetstream::connection::{self, Auth, Connection, Purpose, Settings};
use wharf_jetstream::error::Action;

async fn connect_as(server: &Server, user: &str) -> Connection {
    let auth = Auth::User {
        user: user.into(),
        password: "p".into(),
    };
    let settings = Settings {
        auth,
        ..settings(server)
    };
    connection::connect(&settings, &Purpose::Control)
        .await
        .expect("connected")
}

/// Why the broker cannot serve that user.
async fn lack(server: &Server, user: &str) -> Lack {
    let found = probe(&connect_as(server, user).await)
        .await
        .expect("an answer");
    found.require().cloned().expect_err("it cannot serve")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_can_serve_tells_its_version_level_and_limits() {
    let server = Server::start();
    let found = probe(&connect(&server).await).await.expect("an answer");
    let account = found.require().expect("it can serve");
    assert!(account.api_level >= LEVEL_SCHEDULES);
    assert_eq!((account.streams, account.streams_max), (0, None));
    assert!(found.version.starts_with("2."), "{}", found.version);
    assert_eq!((found.max_payload, found.cluster), (1 << 20, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_jetstream_is_named_as_such() {
    let server = Server::without_jetstream();
    let found = probe(&connect(&server).await).await.expect("an answer");
    assert_eq!(found.jetstream, JetStream::Disabled);
    let lack = found.require().expect_err("it cannot serve");
    assert!(lack.to_string().contains("--jetstream"), "{lack}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_absence_of_jetstream_in_an_account_are_told() {
    let server = Server::configured(
        r#"accounts {
            NONE: { users: [ { user: "none", password: "p" } ] }
            SOME: {
                jetstream: { max_file: 1GB, max_streams: 7, max_consumers: 9, max_bytes_required: true }
                users: [ { user: "some", password: "p" } ]
            }
        }"#,
    );
    assert_eq!(lack(&server, "none").await, Lack::NotForAccount);
    let found = probe(&connect_as(&server, "some").await)
        .await
        .expect("an answer");
    let account = found.require().expect("it can serve");
    assert_eq!(
        (account.streams_max, account.consumers_max),
        (Some(7), Some(9))
    );
    assert!(account.storage_bytes_max.is_some() && account.max_bytes_required);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_with_its_subject() {
    let server = Server::configured(
        r#"authorization { users: [
            { user: "mute", password: "p", permissions: { publish: { deny: ["$JS.API.>"] } } },
            { user: "deaf", password: "p", permissions: { subscribe: { deny: ["_INBOX.>"] } } },
        ] }"#,
    );
    let subject = "$JS.API.INFO".to_owned();
    assert_eq!(
        lack(&server, "mute").await,
        Lack::Denied {
            action: Action::Publish,
            subject
        }
    );
    match lack(&server, "deaf").await {
        Lack::Denied {
            action: Action::Subscribe,
            subject,
        } => {
            assert!(subject.starts_with("_INBOX."), "{subject}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_keeps_silent_is_told_from_one_that_refuses() {
    let server = Server::start();
    let connection = connect(&server).await;
    server.freeze();
    let found = probe(&connection).await.expect("an answer");
    server.thaw();
    let lack = found.require().expect_err("it cannot serve");
    assert!(matches!(lack, Lack::Silent { .. }), "{lack:?}");
}

//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod cluster;
pub mod proxy;
pub mod reading;
mod server;

use async_nats::jetstream;
pub use server::Server;
use std::time::Duration;
use wharf_jetstream::connection::{self, Connection, Links, Purpose, Settings};

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The future's result, or a failed test that says what was waited for.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Waits until `holds` is true.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Deletes a stream and waits until its files are gone: the server clears them
/// away later, and may fail to make one of the same name before.
pub async fn delete_stream(server: &Server, js: &async_nats::jetstream::Context, name: &str) {
    let files = server
        .folder()
        .join("store/jetstream/$G/streams")
        .join(name);
    assert!(files.exists(), "no {}", files.display());
    js.delete_stream(name).await.expect("deleted");
    until("the files to be gone", async || !files.exists()).await;
}

pub fn settings(server: &Server) -> Settings {
    Settings::new("test", server.url())
}

pub async fn connect(server: &Server) -> Connection {
    connection::connect(&settings(server), &Purpose::Control)
        .await
        .expect("connected")
}

pub async fn links(server: &Server) -> Links {
    let consume = connection::connect(&settings(server), &Purpose::Consume("test".into())).await;
    Links {
        control: connect(server).await,
        consume: consume.expect("connected"),
    }
}

/// The client library's own JetStream, to arrange things with.
pub async fn plain(server: &Server) -> jetstream::Context {
    let client = async_nats::connect(server.url()).await.expect("connected");
    jetstream::new(client)
}

/// A stream on `<lower-case name>.>` in files.
pub async fn stream(js: &jetstream::Context, name: &str) -> jetstream::stream::Stream {
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{}.>", name.to_lowercase())],
        ..Default::default()
    };
    js.create_stream(config).await.expect("a stream")
}

/// Stores one event and returns its sequence.
pub async fn store(js: &jetstream::Context, subject: &str, payload: &str) -> u64 {
    let sent = js
        .publish(subject.to_owned(), payload.to_owned().into())
        .await
        .expect("sent");
    sent.await.expect("stored").sequence
}

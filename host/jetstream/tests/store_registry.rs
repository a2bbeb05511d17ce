//! The registry on a real server: compare-and-set, watching, reports that end
//! by themselves, and objects that are what their names say.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Server, connect, links, plain, soon, until};
use wharf_core::deployment::Digest;
use wharf_jetstream::api::Api;
use wharf_jetstream::assets::{self, Place, PlaceRegistry};
use wharf_jetstream::registry::{
    CODE_STORE, Entry, Key, Kind, ObjectError, Registry, Saved, Seen, hash,
};

async fn registry(server: &Server) -> Registry {
    let connection = connect(server).await;
    let place = Place {
        registry: Some(PlaceRegistry { replicas: 1 }),
        ..Place::default()
    };
    let api = Api::new(connection.clone());
    let plan = assets::plan(&api, &place).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("made");
    let again = assets::plan(&api, &place).await.expect("a plan");
    assert!(again.is_fulfilled(), "{:?}", again.problems());
    Registry::open(connection).await.expect("opened")
}

fn order() -> Key {
    Key::Handler("order".to_owned())
}

async fn write(registry: &Registry, key: &Key, expected: u64, text: &'static str) -> u64 {
    match registry.write(key, expected, Bytes::from(text)).await {
        Saved::Stored { revision } => revision,
        other => panic!("not stored: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_on_one_revision_one_wins() {
    let server = Server::start();
    let registry = registry(&server).await;
    assert_eq!(registry.read(&order()).await.expect("asked"), None);
    let first = write(&registry, &order(), 0, "1").await;
    assert_eq!(
        registry.write(&order(), 0, "x".into()).await,
        Saved::Conflict
    );
    let second = write(&registry, &order(), first, "2").await;
    let late = registry.write(&order(), first, "x".into()).await;
    assert_eq!(late, Saved::Conflict);
    let bytes = Bytes::from("2");
    let entry = Entry {
        revision: second,
        bytes,
    };
    assert_eq!(
        registry.read(&order()).await.expect("asked"),
        Some(entry.clone())
    );
    write(&registry, &Key::Need("order".to_owned()), 0, "a need").await;
    let listed = registry.list(Kind::Handlers).await.expect("listed");
    assert_eq!(listed, [("order".to_owned(), entry)]);
    registry.remove(&order()).await.expect("removed");
    assert_eq!(registry.read(&order()).await.expect("asked"), None);
    // A key that was deleted by the tool of the broker leaves a marker.
    write(&registry, &order(), 0, "3").await;
    let bucket = plain(&server)
        .await
        .get_key_value("WHARF")
        .await
        .expect("a bucket");
    bucket.delete("handler.order").await.expect("deleted");
    assert_eq!(registry.read(&order()).await.expect("asked"), None);
    write(&registry, &order(), 0, "4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_what_is_there_then_that_it_has_then_every_change() {
    let mut server = Server::start();
    let registry = registry(&server).await;
    let mut empty = registry
        .watch(links(&server).await, "empty")
        .await
        .expect("a watch");
    assert_eq!(
        soon("the end of nothing", empty.next()).await,
        Seen::CaughtUp
    );

    let first = write(&registry, &order(), 0, "1").await;
    let second = write(&registry, &order(), first, "2").await;
    let need = Key::Need("mail".to_owned());
    let third = write(&registry, &need, 0, "m").await;
    // Reports come and go: the end of what was there does not wait for one.
    let reported = registry
        .report("pod", "r".into(), Duration::from_secs(300))
        .await;
    let mut watch = registry
        .watch(links(&server).await, "full")
        .await
        .expect("a watch");
    let value = |key: &Key, revision, text: &'static str| {
        let bytes = Bytes::from(text);
        Seen::Value(key.clone(), Entry { revision, bytes })
    };
    assert_eq!(soon("1", watch.next()).await, value(&order(), first, "1"));
    assert_eq!(soon("2", watch.next()).await, value(&order(), second, "2"));
    assert_eq!(soon("m", watch.next()).await, value(&need, third, "m"));
    assert_eq!(soon("the end", watch.next()).await, Seen::CaughtUp);
    let Saved::Stored { revision } = reported else {
        panic!("not reported: {reported:?}")
    };
    let pod = Key::Host("pod".to_owned());
    assert_eq!(soon("r", watch.next()).await, value(&pod, revision, "r"));

    // Across a restart of the server nothing is told twice or left out.
    server.kill();
    server.restart();
    let mut fourth = Saved::Unanswered;
    until("the change", async || {
        fourth = registry.write(&order(), second, "4".into()).await;
        matches!(fourth, Saved::Stored { .. })
    })
    .await;
    let Saved::Stored { revision } = fourth else {
        unreachable!("waited for it")
    };
    let next = soon("4", async {
        loop {
            match watch.next().await {
                Seen::Unavailable { .. } => {}
                seen => break seen,
            }
        }
    });
    assert_eq!(next.await, value(&order(), revision, "4"));
    let bucket = plain(&server)
        .await
        .get_key_value("WHARF")
        .await
        .expect("a bucket");
    bucket.delete("handler.order").await.expect("deleted");
    assert_eq!(
        soon("the end of it", watch.next()).await,
        Seen::Gone(order())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_kept_once_and_never_handed_out_as_what_it_is_not() {
    let server = Server::start();
    let registry = registry(&server).await;
    // Several chunks.
    let bytes = Bytes::from(
        (0..400_000u32)
            .flat_map(u32::to_be_bytes)
            .collect::<Vec<u8>>(),
    );
    let digest = registry.put_object(&bytes).await.expect("put");
    assert_eq!(digest, hash(&bytes));
    assert!(registry.object(digest).await.expect("fetched") == bytes);
    assert_eq!(registry.put_object(&bytes).await, Ok(digest));

    let absent = Digest([7; 32]);
    assert_eq!(
        registry.object(absent).await,
        Err(ObjectError::Absent { digest: absent })
    );

    // Somebody writes other bytes under that name.
    let store = plain(&server)
        .await
        .get_object_store(CODE_STORE)
        .await
        .expect("a store");
    let mut forged: &[u8] = b"forged";
    store
        .put(digest.to_string().as_str(), &mut forged)
        .await
        .expect("put");
    let found = hash(b"forged");
    let named = digest;
    assert_eq!(
        registry.object(digest).await,
        Err(ObjectError::Mismatch { named, found })
    );
    // Deploying again makes it whole.
    assert_eq!(registry.put_object(&bytes).await, Ok(digest));
    assert!(registry.object(digest).await.expect("fetched") == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_writes_no_more_vanishes_by_itself() {
    let server = Server::start();
    let registry = registry(&server).await;
    let written = registry
        .report("pod", "alive".into(), Duration::from_secs(2))
        .await;
    assert!(matches!(written, Saved::Stored { .. }), "{written:?}");
    let hosts = registry.list(Kind::Hosts).await.expect("listed");
    assert_eq!(hosts.len(), 1);
    until("the report to be gone", async || {
        registry
            .list(Kind::Hosts)
            .await
            .is_ok_and(|hosts| hosts.is_empty())
    })
    .await;
}

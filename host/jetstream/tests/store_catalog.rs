//! Catalog and look-up on a real server.

mod common;
mod support;

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, RetentionPolicy, SubjectTransform};
use common::{Server, connect, plain, store, stream, until};
use wharf_core::manifest::Start;
use wharf_core::pattern::Pattern;
use wharf_jetstream::api::Api;
use wharf_jetstream::catalog::lookup::{Answer, Doubt, Question, SCAN_MAX, stored};
use wharf_jetstream::catalog::{Catalog, Covering, first_sequence};

async fn publish_with_id(server: &Server, subject: &str, id: &str) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    let js = plain(server).await;
    let sent = js
        .publish_with_headers(subject.to_owned(), headers, "x".into())
        .await;
    sent.expect("sent").await.expect("stored");
}

fn ids(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// The broker's time of the stream's last message.
async fn last_stored_ns(api: &Api, stream: &str) -> u64 {
    api.require_stream(stream)
        .await
        .expect("the stream")
        .state
        .last_ns
}

struct Asked<'a> {
    api: &'a Api,
    stream: &'a str,
    since_ns: u64,
}

impl Asked<'_> {
    async fn on(&self, subject: &str, wanted: &[&str]) -> Answer {
        self.within(subject, wanted, SCAN_MAX).await
    }

    async fn within(&self, subject: &str, wanted: &[&str], scan_max: u32) -> Answer {
        let (stream, since_ns) = (self.stream, self.since_ns);
        let question = Question {
            stream,
            subject,
            ids: &ids(wanted),
            since_ns,
            committed_ns: since_ns,
            scan_max,
        };
        stored(self.api, &question).await.expect("an answer")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_reads_every_page_of_the_list() {
    let server = Server::start();
    let js = plain(&server).await;
    for n in 0..300 {
        stream(&js, &format!("S{n}")).await;
    }
    let catalog = Catalog::read(&Api::new(connect(&server).await))
        .await
        .expect("a catalog");
    assert_eq!(catalog.streams().count(), 300);
    let info = catalog.get("S299").expect("the last one");
    assert_eq!(info.config.subjects, ["s299.>"]);
    assert!(info.created_ns > 0);
    let of = |text: &str| catalog.covering(&Pattern::parse(text).expect("a pattern"));
    assert!(matches!(of("s7.a.{key}"), Covering::One(info) if info.config.name == "S7"));
    assert!(matches!(of("elsewhere.{key}"), Covering::None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_a_sequence_of_the_stream() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let api = Api::new(connect(&server).await);
    let empty = api.require_stream("A").await.expect("the stream");
    for start in [Start::New, Start::All, Start::TimeMs(0)] {
        assert_eq!(
            first_sequence(&api, &empty, start).await.expect("read"),
            1,
            "{start:?}"
        );
    }
    for _ in 0..3 {
        store(&js, "a.x", "x").await;
    }
    let half_ms = last_stored_ns(&api, "A").await / 1_000_000 + 1;
    let later = async || {
        store(&js, "a.x", "later").await;
        last_stored_ns(&api, "A").await / 1_000_000 > half_ms
    };
    until("the clock moves on", later).await;
    let info = api.require_stream("A").await.expect("the stream");
    assert_eq!(
        first_sequence(&api, &info, Start::All).await.expect("read"),
        1
    );
    assert_eq!(
        first_sequence(&api, &info, Start::Sequence(2))
            .await
            .expect("read"),
        2
    );
    let new = first_sequence(&api, &info, Start::New).await.expect("read");
    assert_eq!(new, info.state.last_sequence + 1);
    let since = first_sequence(&api, &info, Start::TimeMs(half_ms))
        .await
        .expect("read");
    assert!((4..new).contains(&since), "{since}");
    let far = Start::TimeMs(half_ms + 3_600_000);
    assert_eq!(first_sequence(&api, &info, far).await.expect("read"), new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_tells_what_is_stored_and_what_is_missing() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let api = Api::new(connect(&server).await);
    publish_with_id(&server, "a.x", "before").await;
    let since_ns = last_stored_ns(&api, "A").await + 1;
    for id in ["one", "two", "three"] {
        publish_with_id(&server, "a.x", id).await;
        publish_with_id(&server, "a.y", &format!("{id} elsewhere")).await;
    }
    store(&plain(&server).await, "a.x", "without an id").await;
    let asked = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    let wanted = ["one", "three", "never", "before", "two elsewhere"];
    assert_eq!(
        asked.on("a.x", &wanted).await,
        Answer::Stored(ids(&["one", "three"]))
    );
    assert_eq!(asked.on("a.z", &["one"]).await, Answer::Stored(ids(&[])));
    assert_eq!(asked.on("a.x", &[]).await, Answer::Stored(ids(&[])));
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_22_a_transformed_subject_is_looked_up_where_it_is_stored() {
    let server = Server::start();
    let js = plain(&server).await;
    let destination = "out.{{partition(4,1)}}.{{wildcard(1)}}";
    let config = Config {
        name: "A".into(),
        subjects: vec!["in.*".into()],
        subject_transform: Some(SubjectTransform {
            source: "in.*".into(),
            destination: destination.into(),
        }),
        ..Config::default()
    };
    js.create_stream(config.clone()).await.expect("a stream");
    let api = Api::new(connect(&server).await);
    let since_ns = api
        .require_stream("A")
        .await
        .expect("the stream")
        .created_ns;
    publish_with_id(&server, "in.a", "one").await;
    publish_with_id(&server, "in.b", "two").await;
    let asked = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    assert_eq!(
        asked.on("in.a", &["one", "two"]).await,
        Answer::Stored(ids(&["one"]))
    );

    let split = Some(SubjectTransform {
        source: "in.*".into(),
        destination: "out.{{split(1,-)}}".into(),
    });
    js.update_stream(Config {
        subject_transform: split,
        ..config
    })
    .await
    .expect("changed");
    assert_eq!(
        asked.on("in.a", &["one"]).await,
        Answer::Unsure(Doubt::Transform)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_22_a_trimmed_destination_is_no_proof_of_absence() {
    let server = Server::start();
    let handle = stream(&plain(&server).await, "A").await;
    let api = Api::new(connect(&server).await);
    publish_with_id(&server, "a.x", "old").await;
    let since_ns = last_stored_ns(&api, "A").await + 1;
    for id in ["one", "two", "three", "four"] {
        publish_with_id(&server, "a.x", id).await;
    }
    let asked = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    let missing = || asked.on("a.x", &["missing"]);
    let doubted = Answer::Unsure(Doubt::Trimmed);
    assert_eq!(missing().await, Answer::Stored(ids(&[])));
    handle.delete_message(4).await.expect("deleted");
    assert_eq!(missing().await, doubted, "a hole amid the time");
    let present = asked.on("a.x", &["two", "four"]).await;
    assert_eq!(
        present,
        Answer::Stored(ids(&["two", "four"])),
        "what is found is found"
    );
    handle.purge().sequence(3).await.expect("purged");
    assert_eq!(missing().await, doubted, "the front is gone");
    handle.purge().await.expect("purged");
    assert_eq!(missing().await, doubted, "all is gone");
    let since_ns = last_stored_ns(&api, "A").await + 1;
    let later = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    assert_eq!(
        later.on("a.x", &["missing"]).await,
        Answer::Stored(ids(&[])),
        "gone before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_22_a_hole_from_before_the_time_raises_no_doubt() {
    let server = Server::start();
    let handle = stream(&plain(&server).await, "A").await;
    let api = Api::new(connect(&server).await);
    for id in ["0", "1", "2", "3"] {
        publish_with_id(&server, "a.x", id).await;
    }
    handle.delete_message(2).await.expect("deleted");
    let since_ns = last_stored_ns(&api, "A").await + 1;
    let asked = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    assert_eq!(
        asked.on("a.x", &["missing"]).await,
        Answer::Stored(ids(&[]))
    );
    publish_with_id(&server, "a.x", "last").await;
    assert_eq!(
        asked.on("a.x", &["missing"]).await,
        Answer::Stored(ids(&[]))
    );
    handle.delete_message(5).await.expect("deleted");
    assert_eq!(
        asked.on("a.x", &["missing"]).await,
        Answer::Unsure(Doubt::Trimmed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_22_the_bound_is_a_doubt_and_not_an_absence() {
    let server = Server::start();
    stream(&plain(&server).await, "A").await;
    let api = Api::new(connect(&server).await);
    let since_ns = api
        .require_stream("A")
        .await
        .expect("the stream")
        .created_ns;
    for n in 0..20 {
        publish_with_id(&server, "a.x", &n.to_string()).await;
    }
    let asked = Asked {
        api: &api,
        stream: "A",
        since_ns,
    };
    assert_eq!(
        asked.within("a.x", &["none"], 20).await,
        Answer::Unsure(Doubt::Bound)
    );
    assert_eq!(
        asked.within("a.x", &["none"], 21).await,
        Answer::Stored(ids(&[]))
    );
    assert_eq!(
        asked.within("a.x", &["7"], 8).await,
        Answer::Stored(ids(&["7"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_22_a_destination_that_cannot_tell_says_why() {
    let server = Server::start();
    let js = plain(&server).await;
    let api = Api::new(connect(&server).await);
    let since_ns = {
        stream(&js, "FIRST").await;
        api.require_stream("FIRST")
            .await
            .expect("the stream")
            .created_ns
    };
    let configs = [
        ("LATER", Config::default(), Doubt::BegunLater),
        (
            "LAST",
            Config {
                max_messages_per_subject: 1,
                ..Config::default()
            },
            Doubt::KeepsLast,
        ),
        (
            "QUEUE",
            Config {
                retention: RetentionPolicy::WorkQueue,
                ..Config::default()
            },
            Doubt::NotLimits,
        ),
    ];
    for (name, config, doubt) in configs {
        let subjects = vec![format!("{name}.>")];
        js.create_stream(Config {
            name: name.into(),
            subjects,
            ..config
        })
        .await
        .expect("a stream");
        let asked = Asked {
            api: &api,
            stream: name,
            since_ns,
        };
        assert_eq!(
            asked.on(&format!("{name}.x"), &["a"]).await,
            Answer::Unsure(doubt),
            "{name}"
        );
    }
    let asked = Asked {
        api: &api,
        stream: "NOWHERE",
        since_ns,
    };
    assert_eq!(
        asked.on("nowhere", &["a"]).await,
        Answer::Unsure(Doubt::NoStream)
    );
}

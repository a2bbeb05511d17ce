//! The log reader on a source that was purged, restored, deleted or made again.

mod common;

use common::reading::{MANY, mark, reader, sequences};
use common::{PATIENCE, Server, links, plain, soon, store, stream, until};
use wharf_jetstream::reader::{Event, Reader, RolledBack, Settings, SourceMark};

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_30_a_restored_source_pauses_and_a_purged_one_says_what_is_gone() {
    let server = Server::start();
    let js = plain(&server).await;
    let stream = stream(&js, "A").await;
    for _ in 0..20 {
        store(&js, "a.1", "").await;
    }
    let links = links(&server).await;

    // The watermark lies above the last sequence, as after a restore.
    let ahead = SourceMark {
        watermark: 40,
        ..mark(&links, "A", 1).await
    };
    let mut reader = Reader::open(links.clone(), "A", vec![], ahead, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next())
        .await
        .expect_err("rolled back");
    assert_eq!(
        refused,
        RolledBack::Shorter {
            watermark: 40,
            last: 20
        }
    );

    // The sequence exists, but it is another event.
    let other = SourceMark {
        watermark: 10,
        stored_ns: 1,
        ..ahead
    };
    let mut reader = Reader::open(links.clone(), "A", vec![], other, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next())
        .await
        .expect_err("rolled back");
    assert!(
        matches!(refused, RolledBack::OtherEvent { sequence: 10, .. }),
        "{refused:?}"
    );

    // The stream was made again.
    let older = SourceMark {
        created_ns: ahead.created_ns - 1,
        watermark: 0,
        stored_ns: 0,
    };
    let mut reader = Reader::open(links.clone(), "A", vec![], older, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let refused = soon("a refusal", reader.next())
        .await
        .expect_err("another stream");
    assert!(
        matches!(refused, RolledBack::CreatedAgain { .. }),
        "{refused:?}"
    );

    // After a purge to 11 the reader from 5 would begin at 11 without a gap.
    stream.purge().sequence(11).await.expect("purged");
    let behind = SourceMark {
        watermark: 4,
        ..ahead
    };
    let mut reader = Reader::open(links, "A", vec![], behind, Settings::new("test-1"));
    reader.grant(MANY, MANY);
    let first = soon("the loss", reader.next())
        .await
        .expect("the same source");
    assert!(
        matches!(first, Event::SourceLost { from: 5, to: 10 }),
        "{first:?}"
    );
    assert_eq!(
        sequences(&mut reader, 10).await.0,
        (11..=20).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_restored_while_it_is_read_stops_the_reader() {
    let mut server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    for _ in 0..5 {
        store(&js, "a.1", "").await;
    }
    server.kill();
    let backup = server.folder().join("backup");
    copy(&server.folder().join("store"), &backup);
    server.restart();
    until("the server stores again", async || {
        js.get_stream("A").await.is_ok()
    })
    .await;
    for _ in 0..5 {
        store(&js, "a.1", "").await;
    }
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    assert_eq!(sequences(&mut reader, 10).await.0.len(), 10);
    server.kill();
    std::fs::remove_dir_all(server.folder().join("store")).expect("removed");
    copy(&backup, &server.folder().join("store"));
    server.restart();
    let refused = loop {
        match soon("a refusal", reader.next()).await {
            Err(refused) => break refused,
            Ok(Event::Unavailable { .. } | Event::Reopened { .. }) => {}
            Ok(other) => panic!("unexpected: {other:?}"),
        }
    };
    assert_eq!(
        refused,
        RolledBack::Shorter {
            watermark: 10,
            last: 5
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_reported_and_waited_for() {
    let server = Server::start();
    let js = plain(&server).await;
    stream(&js, "A").await;
    let links = links(&server).await;
    let mut reader = reader(&links, "A", &[], 1).await;
    js.delete_stream("A").await.expect("deleted");
    let first = soon("a report", reader.next())
        .await
        .expect("no other source");
    let Event::Unavailable { error } = first else {
        panic!("unexpected: {first:?}")
    };
    assert_eq!(error.api_code(), Some(10059));
    stream(&js, "A").await;
    let refused = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Err(refused) = reader.next().await {
                break refused;
            }
        }
    });
    let refused = refused.await.expect("in time");
    assert!(
        matches!(refused, RolledBack::CreatedAgain { .. }),
        "{refused:?}"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status();
    assert!(done.expect("cp runs").success());
}

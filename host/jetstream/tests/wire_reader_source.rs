//! The log reader on a source that was purged, restored, deleted or made again.

mod common;

use common::reading::{MANY, mark, reader, sequences};
use common::{PATIENCE, Server, delete_stream, links, plain, soon, store, stream, until};
use wharf_jetstream::connection::Links;
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
    let refused = refusal(&links, ahead).await;
    let (watermark, last) = (40, 20);
    assert_eq!(refused, RolledBack::Shorter { watermark, last });

    // The sequence exists, but it is another event.
    let other = SourceMark {
        watermark: 10,
        stored_ns: 1,
        ..ahead
    };
    let refused = refusal(&links, other).await;
    let is_other = matches!(refused, RolledBack::OtherEvent { sequence: 10, .. });
    assert!(is_other, "{refused:?}");

    // The stream was made again.
    let older = SourceMark {
        created_ns: ahead.created_ns - 1,
        watermark: 0,
        stored_ns: 0,
    };
    let refused = refusal(&links, older).await;
    let is_new = matches!(refused, RolledBack::CreatedAgain { .. });
    assert!(is_new, "{refused:?}");

    // After a purge to 11 the reader from 5 would begin at 11 without a gap.
    stream.purge().sequence(11).await.expect("purged");
    let behind = SourceMark {
        watermark: 4,
        ..ahead
    };
    let mut reader = granted(&links, behind);
    let first = soon("the loss", reader.next()).await;
    let first = first.expect("the same source");
    let is_loss = matches!(first, Event::SourceLost { from: 5, to: 10 });
    assert!(is_loss, "{first:?}");
    let rest = (11..=20).collect::<Vec<_>>();
    assert_eq!(sequences(&mut reader, 10).await.0, rest);
}

fn granted(links: &Links, mark: SourceMark) -> Reader {
    let settings = Settings::new("test-1");
    let mut reader = Reader::open(links.clone(), "A", vec![], mark, settings);
    reader.grant(MANY, MANY);
    reader
}

async fn refusal(links: &Links, mark: SourceMark) -> RolledBack {
    let mut reader = granted(links, mark);
    let read = soon("a refusal", reader.next()).await;
    read.expect_err("rolled back")
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
    delete_stream(&server, &js, "A").await;
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

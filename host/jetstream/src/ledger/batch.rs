//! One batched read: the newest messages of many subjects in one request.
//!
//! Any replica may answer, so an answer says how far that replica's copy goes,
//! and the caller says how far it has to go.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::{HeaderValue, Message, StatusCode};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::{COMMIT, CommitId, Stored};
use crate::api::stamp;
use crate::connection::Connection;

/// Subjects of one request. The server answers at most 1,024.
pub(super) const KEYS_MAX: usize = 256;

/// Bytes after which the server cuts an answer short. Records are small; what
/// is cut off is read singly.
const BYTES_MAX: u64 = 16 << 20;

/// The status behind the last message of a batch.
const END_OF_BATCH: u16 = 204;

const NEXT_WITHIN: Duration = Duration::from_secs(2);

/// An answer that reaches the floor; a subject without an entry has no message.
pub(super) type Found = HashMap<String, Stored>;

/// Reads `subjects`; None when the answer is incomplete, too old or missing.
///
/// `sentinel` is a filter with a message on it whenever the stream is in use:
/// when nothing at all is found, the server does not say how far it looked.
pub(super) async fn read(
    connection: &Connection,
    stream: &str,
    subjects: &[String],
    sentinel: &str,
    floor: u64,
) -> Option<Found> {
    let client = connection.client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.ok()?;
    let wanted: Vec<&str> = subjects
        .iter()
        .map(String::as_str)
        .chain([sentinel])
        .collect();
    let body = serde_json::json!({ "multi_last": wanted, "max_bytes": BYTES_MAX });
    let path = format!("$JS.API.DIRECT.GET.{stream}");
    client
        .publish_with_reply(path, inbox, body.to_string().into())
        .await
        .ok()?;
    let mut found = Found::with_capacity(subjects.len());
    loop {
        let message = timeout(NEXT_WITHIN, answers.next()).await.ok()??;
        match message.status {
            None => {
                let (subject, stored) = record(&message)?;
                found.insert(subject, stored);
            }
            Some(status) => return is_whole(status, &message, floor).then_some(found),
        }
    }
}

/// The end of the batch: nothing left out, and read far enough.
fn is_whole(status: StatusCode, message: &Message, floor: u64) -> bool {
    status.as_u16() == END_OF_BATCH
        && number(message, "Nats-Num-Pending") == Some(0)
        && number(message, "Nats-UpTo-Sequence").is_some_and(|upto| upto >= floor)
}

fn record(message: &Message) -> Option<(String, Stored)> {
    let subject = text(message, "Nats-Subject")?.to_owned();
    let stored = Stored {
        revision: number(message, "Nats-Sequence")?,
        stored_ns: stamp::parse(text(message, "Nats-Time-Stamp")?)?,
        bytes: message.payload.clone(),
        commit_id: text(message, COMMIT).and_then(|id| CommitId::parse(id.as_bytes())),
    };
    Some((subject, stored))
}

/// The last value: what the server adds stands behind what was stored.
fn text<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message
        .headers
        .as_ref()?
        .get_last(name)
        .map(HeaderValue::as_str)
}

fn number(message: &Message, name: &str) -> Option<u64> {
    text(message, name)?.parse().ok()
}

//! Following the bucket: first what it holds, then every change.

use bytes::Bytes;

use super::{EXPIRED, Entry, Key, Kind, OPERATION, STREAM};
use crate::api::Api;
use crate::connection::Links;
use crate::error::Error;
use crate::pull::Delivery;
use crate::reader::{self, Event, Reader, SourceMark};

/// Values that are read before `next` is called again.
const AHEAD: u64 = 64;
const AHEAD_BYTES: u64 = 16 << 20;

/// One reader over the handlers, the needs and the hosts of the bucket.
pub struct Watch {
    reader: Reader,
    /// What the bucket held when it was opened has come up to here.
    initial: u64,
    caught_up: bool,
}

/// What a watch has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The key has this value now.
    Value(Key, Entry),
    /// The key is gone.
    Gone(Key),
    /// Everything that stood in the bucket at first has been told.
    CaughtUp,
    /// The bucket is another one than before, or shorter: it was restored, or
    /// made again.
    RolledBack { reason: String },
    /// The broker cannot be asked just now; it is tried again.
    Unavailable { reason: String },
}

impl Watch {
    pub(super) async fn open(api: &Api, links: Links, label: &str) -> Result<Self, Error> {
        let info = api.require_stream(STREAM).await?;
        let mark = SourceMark {
            created_ns: info.created_ns,
            watermark: 0,
            stored_ns: 0,
        };
        let all = [Kind::Handlers, Kind::Needs, Kind::Hosts];
        let filters = all.map(|kind| kind.filter().to_owned()).to_vec();
        let settings = reader::Settings::new(label);
        let mut reader = Reader::open(links, STREAM, filters.clone(), mark, settings);
        reader.grant(AHEAD, AHEAD_BYTES);
        Ok(Self {
            reader,
            // Reports of hosts come and go: none of them is waited for.
            initial: last(api, &filters[..2]).await?,
            caught_up: false,
        })
    }

    /// The next thing that there is to know.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn next(&mut self) -> Seen {
        loop {
            if !self.caught_up && self.reader.position() >= self.initial {
                self.caught_up = true;
                return Seen::CaughtUp;
            }
            match self.reader.next().await {
                Ok(Event::Delivery(delivery)) => {
                    self.reader.grant(1, delivery.bytes());
                    if let Some(seen) = seen(&delivery) {
                        return seen;
                    }
                }
                // Only the last value of a key counts, and that is never lost.
                Ok(Event::SourceLost { .. } | Event::Reopened { .. }) => {}
                Ok(Event::Unavailable { error }) => {
                    let reason = error.to_string();
                    return Seen::Unavailable { reason };
                }
                Err(rolled_back) => {
                    let reason = rolled_back.to_string();
                    return Seen::RolledBack { reason };
                }
            }
        }
    }
}

/// The last sequence that any of the filters selects.
async fn last(api: &Api, filters: &[String]) -> Result<u64, Error> {
    let mut last = 0;
    for filter in filters {
        let query = crate::api::message::Query::last(filter);
        let found = api.message(STREAM, &query).await?;
        last = last.max(found.map_or(0, |message| message.sequence));
    }
    Ok(last)
}

fn seen(delivery: &Delivery) -> Option<Seen> {
    let key = Key::parse(&delivery.subject)?;
    let is_marker = delivery.headers.entries().iter().any(|(name, _)| {
        [OPERATION, EXPIRED]
            .iter()
            .any(|marker| name.eq_ignore_ascii_case(marker.as_bytes()))
    });
    if is_marker {
        return Some(Seen::Gone(key));
    }
    let entry = Entry {
        revision: delivery.position.sequence,
        bytes: Bytes::clone(&delivery.payload),
    };
    Some(Seen::Value(key, entry))
}

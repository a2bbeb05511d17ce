//! A handler's ledger as an outsider reads it: records, checkpoint, entries.

use std::collections::BTreeMap;

use async_nats::Client;
use wharf_core::checkpoint::{self, Checkpoint};
use wharf_core::entry::{self, Entry};
use wharf_core::ids::entity_token;
use wharf_core::record::{self, Record};
use wharf_demo::stream::{Stored, Stream};
use wharf_jetstream::names::Lineage;

use super::{SOON, until};

/// The ledger of a handler's first history.
pub struct Ledger {
    lineage: Lineage,
    stream: Stream,
}

impl Ledger {
    pub fn new(client: Client, handler: &str) -> Self {
        let lineage = Lineage::new(handler, 1).expect("a handler's name");
        let stream = Stream::new(client, lineage.ledger_stream());
        Self { lineage, stream }
    }

    /// The record of a key; None when there is none.
    pub async fn record(&self, key: &str) -> Option<Record> {
        let subject = self.lineage.record(&entity_token(key));
        let stored = self
            .stream
            .read_matching(&subject)
            .await
            .expect("the broker answers");
        let decode = |bytes: &[u8]| record::decode(bytes).expect("a record");
        stored.last().map(|message| decode(&message.data))
    }

    /// All records.
    pub async fn records(&self) -> Vec<Record> {
        let pattern = self.lineage.records();
        let stored = self
            .stream
            .read_matching(&pattern)
            .await
            .expect("the broker answers");
        let decode = |bytes: &[u8]| record::decode(bytes).expect("a record");
        stored.iter().map(|message| decode(&message.data)).collect()
    }

    /// The checkpoint of the one partition.
    pub async fn checkpoint(&self) -> Checkpoint {
        let subject = self.lineage.checkpoint(0);
        let stored = self
            .stream
            .read_matching(&subject)
            .await
            .expect("the broker answers");
        let last = stored.last().expect("a checkpoint");
        checkpoint::decode(&last.data).expect("a checkpoint")
    }

    /// Waits until the checkpoint was written twice: what was settled before is
    /// in it.
    pub async fn beats(&self) {
        for _ in 0..2 {
            let before = self.checkpoint().await.written_ms;
            let what = "the checkpoint to be written again";
            until(what, SOON, async || {
                (self.checkpoint().await.written_ms > before).then_some(())
            })
            .await;
        }
    }

    /// The parked event of a sequence, whatever its key; None while not all of
    /// its parts are there.
    pub async fn entry(&self, sequence: u64) -> Option<Entry> {
        let parts = self.parts(sequence).await;
        let label = parts.first()?.header("Wharf-Entry")?;
        let count: usize = label.split(';').next()?.parse().ok()?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.data.clone()).collect();
        (parts.len() == count).then(|| entry::decode(&bytes).expect("an entry"))
    }

    /// The messages that hold the parked event of a sequence, in order.
    pub async fn parts(&self, sequence: u64) -> Vec<Stored> {
        let pattern = format!("wl.{}.p.*.{sequence}.*", self.lineage);
        let mut parts = self
            .stream
            .read_matching(&pattern)
            .await
            .expect("the broker answers");
        parts.sort_by_key(|part| {
            part.subject
                .rsplit('.')
                .next()
                .and_then(|part| part.parse::<u32>().ok())
        });
        parts
    }

    /// Every parked event, dead or queued, in the order of sequences.
    pub async fn entries(&self) -> Vec<Entry> {
        let pattern = format!("wl.{}.p.>", self.lineage);
        let stored = self
            .stream
            .read_matching(&pattern)
            .await
            .expect("the broker answers");
        let mut parts = BTreeMap::<(String, u32), Vec<u8>>::new();
        for message in stored {
            let (entry, part) = message
                .subject
                .rsplit_once('.')
                .expect("the subject of a part");
            let part = part.parse().expect("the number of a part");
            parts.insert((entry.to_owned(), part), message.data);
        }
        let mut whole = BTreeMap::<String, Vec<u8>>::new();
        for ((entry, _), data) in parts {
            whole.entry(entry).or_default().extend(data);
        }
        let mut entries: Vec<Entry> = whole
            .values()
            .map(|bytes| entry::decode(bytes).expect("an entry"))
            .collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }
}

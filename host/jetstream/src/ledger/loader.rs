//! Gathers the reads of many entities into few requests.
//!
//! After a takeover every key is unseen, and a leader read each would cap a
//! host below the rate at which it can work.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::sync::{mpsc, oneshot};

use super::{Floor, Reads, Stored, batch};
use crate::api::Api;
use crate::api::message::Query;
use crate::error::Error;
use crate::names::Lineage;

/// Batches under way at once. While so many are, the next one gathers; a timer
/// for that would keep a lone read waiting for longer than the read takes.
const BATCHES_MAX: usize = 4;
/// Single reads of one failed batch under way at once.
const LEADER_READS_MAX: usize = 32;
/// Callers that wait to be taken up, beyond which they wait to be heard.
const QUEUE_MAX: usize = 4 * batch::KEYS_MAX;

type Answer = Result<Option<Stored>, Error>;

struct Load {
    subject: String,
    answer: oneshot::Sender<Answer>,
}

/// Those who wait for each subject.
type Batch = HashMap<String, Vec<oneshot::Sender<Answer>>>;

pub(super) struct Loader {
    loads: mpsc::Sender<Load>,
    reader: Reader,
}

/// What a read needs; shared by the task and by single reads.
#[derive(Clone)]
struct Reader {
    api: Api,
    lineage: Lineage,
    stream: String,
    floor: Arc<Floor>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    batched: AtomicU64,
    batches: AtomicU64,
    leader: AtomicU64,
}

impl Loader {
    /// Starts the gathering task, which ends with the loader.
    pub(super) fn start(api: Api, lineage: Lineage, floor: Arc<Floor>) -> Self {
        let stream = lineage.ledger_stream();
        let reader = Reader {
            api,
            lineage,
            stream,
            floor,
            counts: Arc::default(),
        };
        let (loads, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(gather(reader.clone(), queue));
        Self { loads, reader }
    }

    pub(super) async fn load(&self, ek: &str) -> Answer {
        let (answer, answered) = oneshot::channel();
        let load = Load {
            subject: self.reader.lineage.record(ek),
            answer,
        };
        if self.loads.send(load).await.is_err() {
            return Err(Error::Closed);
        }
        answered.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) async fn load_leader(&self, subject: &str) -> Answer {
        self.reader.leader(subject).await
    }

    pub(super) fn reads(&self) -> Reads {
        let counts = &self.reader.counts;
        Reads {
            batched: counts.batched.load(Ordering::Relaxed),
            batches: counts.batches.load(Ordering::Relaxed),
            leader: counts.leader.load(Ordering::Relaxed),
        }
    }
}

async fn gather(reader: Reader, mut queue: mpsc::Receiver<Load>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next() => {}
            load = queue.recv(), if under_way.len() < BATCHES_MAX => {
                let Some(first) = load else { return };
                let batch = collect(first, &mut queue).await;
                under_way.push(reader.serve(batch));
            }
        }
    }
}

/// The first, and whoever waits by now.
async fn collect(first: Load, queue: &mut mpsc::Receiver<Load>) -> Batch {
    let mut batch = Batch::new();
    batch.entry(first.subject).or_default().push(first.answer);
    // Lets those who are about to ask do so.
    tokio::task::yield_now().await;
    while batch.len() < batch::KEYS_MAX
        && let Ok(load) = queue.try_recv()
    {
        batch.entry(load.subject).or_default().push(load.answer);
    }
    batch
}

impl Reader {
    async fn serve(&self, batch: Batch) {
        match self.batched(&batch).await {
            Some(mut found) => {
                for (subject, waiting) in batch {
                    answer(waiting, &Ok(found.remove(&subject)));
                }
            }
            None => {
                let singly = stream::iter(batch).for_each_concurrent(
                    LEADER_READS_MAX,
                    |(subject, waiting)| async move {
                        answer(waiting, &self.leader(&subject).await);
                    },
                );
                singly.await;
            }
        }
    }

    async fn batched(&self, batch: &Batch) -> Option<batch::Found> {
        if !self.floor.is_known() {
            return None;
        }
        let subjects: Vec<String> = batch.keys().cloned().collect();
        self.counts
            .batched
            .fetch_add(subjects.len() as u64, Ordering::Relaxed);
        self.counts.batches.fetch_add(1, Ordering::Relaxed);
        // Whoever asks has its own writes behind it, so the floor is read now.
        let floor = self.floor.get();
        let sentinel = self.lineage.checkpoints();
        batch::read(
            self.api.connection(),
            &self.stream,
            &subjects,
            &sentinel,
            floor,
        )
        .await
    }

    async fn leader(&self, subject: &str) -> Answer {
        self.counts.leader.fetch_add(1, Ordering::Relaxed);
        let found = self
            .api
            .message(&self.stream, &Query::last(subject))
            .await?;
        let stored = found.map(Stored::from_leader);
        if let Some(stored) = &stored {
            // No later batched read may show something older than this.
            self.floor.acknowledged(stored.revision);
        }
        Ok(stored)
    }
}

fn answer(waiting: Vec<oneshot::Sender<Answer>>, answer: &Answer) {
    for caller in waiting {
        // A caller that has gone away needs no answer.
        let _ = caller.send(answer.clone());
    }
}

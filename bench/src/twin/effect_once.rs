//! Record by compare-and-set, emit what the record promises, settle.

use std::collections::{HashMap, VecDeque};

use anyhow::Result;
use async_nats::HeaderMap;
use bytes::Bytes;

use super::at_least_once::emission;
use super::pull::{Acks, Delivery, Pull};
use super::window::Window;
use super::{WINDOW, Writes, connect};
use crate::pipeline::event;

/// Events in memory at once, as many as a host holds.
const HELD_MAX: usize = 4_096;
/// How long the broker keeps the record of an event without a key: as long as a
/// host does by default.
const RECORD_TTL: &str = "120s";

/// One record an event, and an acknowledgement.
pub async fn work_by_id(url: &str, events: u64, writes: Writes) -> Result<()> {
    let mut pull = Pull::open(connect(url).await?, "IN", Acks::Each).await?;
    let mut ledger = Window::open(connect(url).await?, WINDOW).await?;
    let mut emit = Window::open(connect(url).await?, WINDOW).await?;
    let record = Bytes::from(vec![b'r'; writes.record_bytes]);
    let mut done = 0;
    let mut recorded: VecDeque<Delivery> = VecDeque::new();
    loop {
        while ledger.has_room()
            && recorded.len() < WINDOW
            && let Some(delivery) = pull.try_next()?
        {
            record_id(&mut ledger, delivery, &record).await?;
        }
        while let Some((delivery, _)) = ledger.try_answered()? {
            recorded.push_back(delivery);
        }
        while emit.has_room()
            && let Some(delivery) = recorded.pop_front()
        {
            let (subject, headers) = emission(&delivery, writes)?;
            let Delivery { data, reply, .. } = delivery;
            emit.send(subject, headers, data, reply).await?;
        }
        while let Some((reply, _)) = emit.try_answered()? {
            pull.ack(reply).await?;
            done += 1;
        }
        pull.ask_ahead().await?;
        if done == events {
            return Ok(());
        }
        tokio::select! {
            delivery = pull.next(), if ledger.has_room() && recorded.len() < WINDOW => {
                record_id(&mut ledger, delivery?, &record).await?;
            }
            answered = ledger.answered(), if !ledger.is_empty() => {
                recorded.push_back(answered?.0);
            }
            answered = emit.answered(), if !emit.is_empty() => {
                pull.ack(answered?.0).await?;
                done += 1;
            }
        }
    }
}

async fn record_id(
    ledger: &mut Window<Delivery>,
    delivery: Delivery,
    record: &Bytes,
) -> Result<()> {
    let subject = format!("records.{}", event::number_text(&delivery.data)?);
    let mut headers = expecting(0);
    headers.insert("Nats-TTL", RECORD_TTL);
    ledger
        .send(subject, headers, record.clone(), delivery)
        .await
}

fn expecting(revision: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
    headers
}

/// One key's place in the ledger, and what waits for its turn.
struct Line {
    subject: String,
    revision: u64,
    busy: bool,
    waiting: VecDeque<Delivery>,
}

/// What works through keys: at most one event of each at a time.
struct ByKey {
    pull: Pull,
    ledger: Window<(usize, Delivery)>,
    emit: Window<usize>,
    record: Bytes,
    writes: Writes,
    index: HashMap<String, usize>,
    lines: Vec<Line>,
    /// Keys with an event that may run.
    ready: VecDeque<usize>,
    /// Recorded, and not emitted yet.
    recorded: VecDeque<(usize, Delivery)>,
    held: usize,
    done: u64,
}

/// One record a key, read without acknowledgements.
pub async fn work_by_key(url: &str, events: u64, writes: Writes) -> Result<()> {
    let mut work = ByKey {
        pull: Pull::open(connect(url).await?, "IN", Acks::None).await?,
        ledger: Window::open(connect(url).await?, WINDOW).await?,
        emit: Window::open(connect(url).await?, WINDOW).await?,
        record: Bytes::from(vec![b'r'; writes.record_bytes]),
        writes,
        index: HashMap::new(),
        lines: Vec::new(),
        ready: VecDeque::new(),
        recorded: VecDeque::new(),
        held: 0,
        done: 0,
    };
    while work.done < events {
        work.take_what_is_there().await?;
        if work.done == events {
            break;
        }
        work.wait().await?;
    }
    Ok(())
}

/// What came first.
enum Came {
    Delivery(Delivery),
    Written((usize, Delivery), u64),
    Emitted(usize),
}

impl ByKey {
    async fn wait(&mut self) -> Result<()> {
        let came = tokio::select! {
            delivery = self.pull.next(), if self.held < HELD_MAX => Came::Delivery(delivery?),
            answered = self.ledger.answered() => {
                let (noted, revision) = answered?;
                Came::Written(noted, revision)
            }
            answered = self.emit.answered() => Came::Emitted(answered?.0),
        };
        match came {
            Came::Delivery(delivery) => self.take(delivery)?,
            Came::Written((key, delivery), revision) => self.written(key, delivery, revision),
            Came::Emitted(key) => self.emitted(key),
        }
        Ok(())
    }

    async fn take_what_is_there(&mut self) -> Result<()> {
        while self.held < HELD_MAX
            && let Some(delivery) = self.pull.try_next()?
        {
            self.take(delivery)?;
        }
        while let Some(((key, delivery), revision)) = self.ledger.try_answered()? {
            self.written(key, delivery, revision);
        }
        while let Some((key, _)) = self.emit.try_answered()? {
            self.emitted(key);
        }
        self.write_records().await?;
        self.publish().await?;
        if self.held < HELD_MAX {
            self.pull.ask_ahead().await?;
        }
        Ok(())
    }

    fn take(&mut self, delivery: Delivery) -> Result<()> {
        let key = event::key_of(&delivery.subject)?;
        let known = self.index.get(key).copied();
        let key = known.unwrap_or_else(|| {
            self.index.insert(key.to_owned(), self.lines.len());
            self.lines.push(Line {
                subject: format!("records.{key}"),
                revision: 0,
                busy: false,
                waiting: VecDeque::new(),
            });
            self.lines.len() - 1
        });
        self.lines[key].waiting.push_back(delivery);
        self.held += 1;
        self.begin(key);
        Ok(())
    }

    fn begin(&mut self, key: usize) {
        let line = &mut self.lines[key];
        if !line.busy && !line.waiting.is_empty() {
            line.busy = true;
            self.ready.push_back(key);
        }
    }

    async fn write_records(&mut self) -> Result<()> {
        while self.ledger.has_room()
            && let Some(key) = self.ready.pop_front()
        {
            let line = &mut self.lines[key];
            let Some(delivery) = line.waiting.pop_front() else {
                continue;
            };
            let (subject, headers) = (line.subject.clone(), expecting(line.revision));
            self.ledger
                .send(subject, headers, self.record.clone(), (key, delivery))
                .await?;
        }
        Ok(())
    }

    fn written(&mut self, key: usize, delivery: Delivery, revision: u64) {
        self.lines[key].revision = revision;
        self.recorded.push_back((key, delivery));
    }

    async fn publish(&mut self) -> Result<()> {
        while self.emit.has_room()
            && let Some((key, delivery)) = self.recorded.pop_front()
        {
            let (subject, headers) = emission(&delivery, self.writes)?;
            self.emit.send(subject, headers, delivery.data, key).await?;
        }
        Ok(())
    }

    fn emitted(&mut self, key: usize) {
        self.done += 1;
        self.held -= 1;
        self.lines[key].busy = false;
        self.begin(key);
    }
}

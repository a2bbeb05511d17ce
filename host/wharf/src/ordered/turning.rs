//! From one subscription to another: an earlier version had other subjects, or
//! other keys.
//!
//! What that one can have begun is read to its end by its own rules, and nothing
//! beyond. Once all of it is settled the checkpoint is turned: it is of the new
//! subscriptions then, which count behind that place, and hosts that know only the
//! earlier version may not own the partition any more (interleaving 31). While
//! something of it is held, for a need or a retry, reading goes on by the earlier
//! rules, so that one event does not stop all others.

use wharf_core::checkpoint::{self, Checkpoint, Reads};
use wharf_core::event::Position;
use wharf_core::manifest::Subscription;
use wharf_core::outcome::HostFault;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::pull::Delivery;
use wharf_jetstream::reader::{self, Ahead, RolledBack, SourceMark};

use super::heard::{alarm_lost, alarm_rolled_back};
use super::reign::End;
use crate::handler::{Handler, filters};

/// What is left to be done under the earlier subscriptions.
pub struct Turning {
    pub before: Vec<Subscription>,
    /// The incarnation of the stream that the checkpoint speaks of.
    created_ns: u64,
    /// Nothing behind it can have been begun.
    end: u64,
    reading: Reading,
    /// Came from behind the end, and is not begun.
    ahead: Option<Delivery>,
    /// Where the new subscriptions count from: known when all is settled.
    at: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Up to the end.
    ToEnd,
    /// All events up to the end are with their lanes, and the watermark has stood
    /// still for so many looks.
    Done { watermark: u64, looks: u32 },
    /// On behind the end, until all is settled that had been received before.
    On { received: u64 },
}

impl Reading {
    const DONE: Self = Self::Done {
        watermark: 0,
        looks: 0,
    };
}

/// Looks, two seconds apart, at a watermark that stands still before reading goes on.
const PATIENCE_LOOKS: u32 = 2;

/// Why nothing can be said of the source.
pub enum Doubt {
    RolledBack(RolledBack),
    Fault(HostFault),
}

impl Turning {
    /// None: the checkpoint is of the version's own subscriptions.
    ///
    /// # Errors
    /// The broker does not answer, the checkpoint does not say what it is of, or the
    /// source is not the one that it speaks of.
    pub async fn begin(handler: &Handler, seen: &Checkpoint) -> Result<Option<Self>, Doubt> {
        if seen.generation == checkpoint::generation(&handler.version().manifest.on) {
            return Ok(None);
        }
        let before = seen.subscriptions();
        let before = before.map_err(|error| HostFault::record(error.to_string()))?;
        let source = handler.api.require_stream(&handler.source.stream).await;
        let last = source.map_err(broker)?.state.last_sequence;
        let mut turning = Self {
            before,
            created_ns: seen.created_ns,
            end: seen.high.min(last).max(seen.watermark),
            reading: Reading::ToEnd,
            ahead: None,
            at: None,
        };
        let lost = turning.look(handler, seen.watermark()).await?;
        if let Some((from, to)) = lost.filter(|_| turning.has_read()) {
            // Else the reader finds it, as the next one does with what lies behind.
            let to = to.min(turning.end);
            if from <= to {
                alarm_lost(handler, from, to);
            }
        }
        let after = checkpoint::reads(&handler.version().manifest.on);
        tracing::info!(
            handler = handler.name(),
            before = told(&seen.on),
            after = told(&after),
            end = turning.end,
            "the subscription changes: what was begun is settled first"
        );
        Ok(Some(turning))
    }

    /// Looks whether there is more to read behind `received`, and what is gone from
    /// there.
    async fn look(
        &mut self,
        handler: &Handler,
        received: Position,
    ) -> Result<Option<(u64, u64)>, Doubt> {
        let mark = SourceMark {
            created_ns: self.created_ns,
            watermark: received.sequence,
            stored_ns: received.stored_ns,
        };
        let (stream, filters) = (&handler.source.stream, filters(&self.before));
        let ahead = reader::ahead(&handler.api, stream, &filters, &mark).await;
        let Ahead { lost, next } = ahead.map_err(broker)?.map_err(Doubt::RolledBack)?;
        if next.is_none_or(|next| next > self.end) {
            self.reading = Reading::DONE;
        }
        Ok(lost)
    }

    /// Every other second: events that are gone from the source never come, and
    /// those that are held do not stop others for long.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn tend(
        &mut self,
        handler: &Handler,
        received: Position,
        watermark: u64,
    ) -> Result<(), Doubt> {
        match &mut self.reading {
            Reading::ToEnd => self.look(handler, received).await.map(drop)?,
            Reading::Done {
                watermark: before, ..
            } if watermark > *before => {
                self.reading = Reading::Done {
                    watermark,
                    looks: 0,
                };
            }
            Reading::Done { looks, .. } if *looks < PATIENCE_LOOKS => *looks += 1,
            Reading::Done { .. } => {
                tracing::info!(
                    handler = handler.name(),
                    watermark,
                    "an event is held: reading goes on by the earlier subscription"
                );
                let received = received.sequence;
                self.reading = Reading::On { received };
            }
            Reading::On { received: before } if watermark >= *before => {
                self.end = received.sequence;
                self.reading = Reading::DONE;
            }
            Reading::On { .. } => {}
        }
        Ok(())
    }

    /// Takes an event that is not for the earlier subscriptions any more; the stream
    /// has been read to the end then. Gives it back where it is.
    pub fn keep_back(&mut self, delivery: Delivery) -> Option<Delivery> {
        let is_on = matches!(self.reading, Reading::On { .. });
        if is_on || delivery.position.sequence <= self.end {
            return Some(delivery);
        }
        self.reading = Reading::DONE;
        self.ahead = Some(delivery);
        None
    }

    /// What was kept back, when reading goes on.
    pub fn take_ahead(&mut self) -> Option<Delivery> {
        self.ahead
            .take_if(|_| matches!(self.reading, Reading::On { .. }))
    }

    pub fn has_read(&self) -> bool {
        matches!(self.reading, Reading::Done { .. })
    }

    /// All that was begun is settled.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn settled(
        &mut self,
        handler: &Handler,
        received: Position,
    ) -> Result<(), HostFault> {
        self.at = Some(if self.end <= received.sequence {
            received
        } else {
            let query = Query::at(self.end);
            let stored = handler.api.message(&handler.source.stream, &query).await;
            Position {
                sequence: self.end,
                stored_ns: stored.map_err(broker)?.map_or(0, |stored| stored.stored_ns),
            }
        });
        Ok(())
    }

    /// The checkpoint, turned, when all is settled.
    pub fn turned(&self, handler: &Handler, released: Checkpoint) -> Checkpoint {
        let (Some(at), Some(revision)) = (self.at, handler.revision()) else {
            return released;
        };
        tracing::info!(
            handler = handler.name(),
            behind = at.sequence,
            "the subscription has changed"
        );
        released.turned(&handler.version().manifest.on, at, revision)
    }
}

impl Doubt {
    /// Says it. A fault passes; a source that was rolled back does not.
    ///
    /// # Errors
    /// The handler pauses.
    pub fn heed(&self, handler: &Handler) -> Result<(), End> {
        match self {
            Self::Fault(fault) => {
                handler.report(fault);
                Ok(())
            }
            Self::RolledBack(rolled_back) => {
                alarm_rolled_back(handler, &rolled_back.to_string());
                Err(End::Paused)
            }
        }
    }
}

impl From<HostFault> for Doubt {
    fn from(fault: HostFault) -> Self {
        Self::Fault(fault)
    }
}

/// As logs show subscriptions.
fn told(on: &[Reads]) -> String {
    let one = |on: &Reads| {
        let key = on.key.as_deref().unwrap_or("no key");
        format!("{} by {key}", on.subjects.join(", "))
    };
    on.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn broker(error: wharf_jetstream::error::Error) -> HostFault {
    HostFault::broker(error.to_string())
}

//! From one subscription to another: an earlier version had other subjects, or
//! other keys.
//!
//! What that one can have begun is read to its end by its own rules, and nothing
//! beyond. Once all of it is settled the checkpoint is turned: it is of the new
//! subscriptions then, which count behind that place, and hosts that know only the
//! earlier version may not own the partition any more (interleaving 31).

use wharf_core::checkpoint::{self, Checkpoint, Reads};
use wharf_core::event::Position;
use wharf_core::manifest::Subscription;
use wharf_core::outcome::HostFault;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::reader;

use crate::handler::{Handler, filters};

/// What is left to be done under the earlier subscriptions.
pub struct Turning {
    pub before: Vec<Subscription>,
    /// Nothing behind it can have been begun.
    end: u64,
    /// All events up to the end are with their lanes.
    read: bool,
    /// Where the new subscriptions count from: known when all is settled.
    at: Option<Position>,
}

impl Turning {
    /// None: the checkpoint is of the version's own subscriptions.
    ///
    /// # Errors
    /// The broker does not answer, or the checkpoint does not say what it is of.
    pub async fn begin(handler: &Handler, seen: &Checkpoint) -> Result<Option<Self>, HostFault> {
        if seen.generation == checkpoint::generation(&handler.version().manifest.on) {
            return Ok(None);
        }
        let before = seen.subscriptions();
        let before = before.map_err(|error| HostFault::record(error.to_string()))?;
        let source = handler.api.require_stream(&handler.source.stream).await;
        let last = source.map_err(broker)?.state.last_sequence;
        let mut turning = Self {
            before,
            end: seen.high.min(last).max(seen.watermark),
            read: false,
            at: None,
        };
        turning.look(handler, seen.watermark).await?;
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

    /// Looks whether there is more to read behind `received`.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn look(&mut self, handler: &Handler, received: u64) -> Result<(), HostFault> {
        let (stream, filters) = (&handler.source.stream, filters(&self.before));
        let next = reader::next_sequence(&handler.api, stream, &filters, received + 1).await;
        let next = next.map_err(broker)?;
        self.read = next.is_none_or(|next| self.is_beyond(next));
        Ok(())
    }

    /// Whether an event is not for the earlier subscriptions any more; the stream
    /// has been read to the end then.
    pub fn is_beyond(&mut self, sequence: u64) -> bool {
        self.read |= sequence > self.end;
        sequence > self.end
    }

    pub fn has_read(&self) -> bool {
        self.read
    }

    /// All that was begun is settled.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn settled(&mut self, handler: &Handler, seen: &Checkpoint) -> Result<(), HostFault> {
        self.at = Some(if self.end == seen.watermark {
            seen.watermark()
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

    /// The checkpoint, turned; as it is when another version is in use by now.
    pub fn turned(&self, handler: &Handler, released: Checkpoint) -> Checkpoint {
        let (Some(at), Some(revision)) = (self.at, handler.revision_in_use()) else {
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

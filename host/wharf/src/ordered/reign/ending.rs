//! How owning a partition ends: what runs is finished, and the checkpoint is let go.

use wharf_core::checkpoint::Checkpoint;

use super::{End, Reign};
use crate::clock;
use crate::drain::Drain;
use crate::ordered::tenancy::CHECKPOINT_EVERY;

impl Reign {
    /// Ends the lanes as the reason demands and, when this host still owns the
    /// partition, releases it.
    pub(super) async fn finish(mut self, end: End, drain: &Drain) -> End {
        self.owner.leave.cancel();
        // Who is in good order has time for what runs, as in a drain; else a lane
        // that waits for the broker would keep the partition from everybody.
        if !matches!(end, End::Drained | End::GivenUp | End::Turned) {
            self.owner.cut.cancel();
        }
        let end = self.wind_down(end).await;
        if end != End::Lost {
            let released = self.released(end);
            self.tenancy.release(released, &drain.cut).await;
        }
        self.owner
            .handler
            .metrics
            .partition(self.owner.partition)
            .released();
        end
    }

    fn released(&mut self, end: End) -> Checkpoint {
        let (watermark, successor) = (self.book.watermark(), self.named(end));
        let checkpoint = self.tenancy.checkpoint();
        let now_ms = clock::now_ms();
        let released = checkpoint.released(watermark, self.begun, successor.as_deref(), now_ms);
        match &self.turning {
            Some(turning) => turning.turned(&self.owner.handler, released),
            None => released,
        }
    }

    /// For whom the partition is released. A pause is this host's: no other would
    /// find anything else.
    fn named(&mut self, end: End) -> Option<String> {
        let sharing = &self.settings.sharing;
        match end {
            End::Paused | End::Turned => Some(sharing.host().to_owned()),
            // What ran may have taken long.
            End::GivenUp => self
                .successor
                .take()
                .filter(|host| sharing.is_fit(&self.owner.handler, self.owner.partition, host)),
            End::Drained | End::Lost => None,
        }
    }

    /// Waits for what runs, and keeps the lease meanwhile.
    async fn wind_down(&mut self, end: End) -> End {
        let mut tick = tokio::time::interval(CHECKPOINT_EVERY);
        tick.tick().await;
        let lanes = self.lanes.ended();
        tokio::pin!(lanes);
        let deadline = tokio::time::sleep(self.settings.drain);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut lanes => return end,
                // A lane that cannot end must not keep its partition for ever.
                () = &mut deadline, if !self.owner.cut.is_cancelled() => self.owner.cut.cancel(),
                _ = tick.tick(), if end != End::Lost => {
                    if self.write(0).await == Err(End::Lost) {
                        self.owner.cut.cancel();
                        lanes.await;
                        return End::Lost;
                    }
                }
            }
        }
    }
}

//! How much CPU time an attempt has used.
//!
//! Every poll of the attempt is timed, so waiting in a host call costs nothing.
//! At first by the clock on the wall, which is cheap and enough for the many
//! attempts that end within one tick of the epoch. From the first tick on by
//! the thread's own CPU clock: a host that is throttled or preempted must not
//! make its guests look slow, and only those that run longer are ever judged.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a slice may count for that was timed by the wall; two ticks.
const WALL_SLICE_MAX_NS: u64 = 10_000_000;

/// CPU time of one attempt. Only the task that makes the attempt touches it.
#[derive(Debug)]
pub(crate) struct Meter {
    origin: Instant,
    exact: AtomicBool,
    spent_ns: AtomicU64,
    slice_began_ns: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            exact: AtomicBool::new(false),
            spent_ns: AtomicU64::new(0),
            slice_began_ns: AtomicU64::new(0),
        }
    }

    /// Runs `work` to its end and counts what it uses.
    pub(crate) async fn measure<F: Future>(&self, mut work: Pin<&mut F>) -> F::Output {
        poll_fn(|context| {
            self.slice_began_ns.store(self.now_ns(), Relaxed);
            let polled = work.as_mut().poll(context);
            self.spent_ns.fetch_add(self.slice_ns(), Relaxed);
            polled
        })
        .await
    }

    /// What was used in all polls that have ended.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.load(Relaxed))
    }

    /// What was used so far, asked at a tick, from inside a poll.
    pub(crate) fn spent_at_tick(&self) -> Duration {
        if !self.exact.load(Relaxed) {
            self.spent_ns.fetch_add(self.slice_ns(), Relaxed);
            self.exact.store(true, Relaxed);
            self.slice_began_ns.store(self.now_ns(), Relaxed);
        }
        self.spent() + Duration::from_nanos(self.slice_ns())
    }

    /// Begins again at zero, for an instance that is used once more.
    pub(crate) fn reset(&self) {
        self.exact.store(false, Relaxed);
        self.spent_ns.store(0, Relaxed);
    }

    fn slice_ns(&self) -> u64 {
        let now = self.now_ns();
        let slice = now.saturating_sub(self.slice_began_ns.load(Relaxed));
        if self.exact.load(Relaxed) {
            slice
        } else {
            slice.min(WALL_SLICE_MAX_NS)
        }
    }

    /// On the clock in use; the two clocks are never compared.
    fn now_ns(&self) -> u64 {
        if self.exact.load(Relaxed) {
            thread_ns()
        } else {
            u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
        }
    }
}

fn thread_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn spin(time: Duration) {
        let until = thread_ns() + u64::try_from(time.as_nanos()).expect("short");
        while thread_ns() < until {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn time_spent_waiting_is_not_counted() {
        let meter = Meter::new();
        let began = Instant::now();
        meter.measure(pin!(tokio::time::sleep(50 * MS))).await;
        assert!(began.elapsed() >= 50 * MS);
        assert!(meter.spent() < 25 * MS, "{:?}", meter.spent());
    }

    #[tokio::test]
    async fn work_is_counted_before_and_after_the_first_tick() {
        let meter = Meter::new();
        meter
            .measure(pin!(async {
                spin(5 * MS);
                tokio::task::yield_now().await;
                spin(5 * MS);
                assert!(meter.spent_at_tick() >= 10 * MS);
                spin(5 * MS);
                assert!(meter.spent_at_tick() >= 15 * MS);
                tokio::task::yield_now().await;
                spin(5 * MS);
            }))
            .await;
        assert!(meter.spent() >= 20 * MS, "{:?}", meter.spent());
        meter.reset();
        assert_eq!(meter.spent(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_thread_that_is_held_up_is_not_charged_after_the_first_tick() {
        let meter = Meter::new();
        meter
            .measure(pin!(async {
                std::thread::sleep(100 * MS);
                assert!(meter.spent_at_tick() <= 15 * MS, "{:?}", meter.spent());
                std::thread::sleep(100 * MS);
            }))
            .await;
        assert!(meter.spent() < 50 * MS, "{:?}", meter.spent());
    }
}

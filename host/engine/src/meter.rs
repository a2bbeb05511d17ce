//! How much CPU time an attempt has used.
//!
//! Counted with the thread's own CPU clock around every poll of the attempt,
//! not with the time of day: a host that is throttled or preempted must not
//! make its guests look slow. Waiting in a host call costs nothing, since
//! nothing polls then.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of one attempt. One task writes it; nobody else reads it meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    spent_ns: AtomicU64,
    poll_began_ns: AtomicU64,
}

impl Meter {
    /// Runs `work` to its end and counts what it uses of the CPU.
    pub(crate) async fn measure<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.poll_began_ns.store(thread_ns(), Relaxed);
            let polled = work.as_mut().poll(context);
            self.spent_ns.fetch_add(self.this_poll_ns(), Relaxed);
            polled
        })
        .await
    }

    /// What was used in all polls that have ended.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent_ns.load(Relaxed))
    }

    /// What was used so far, asked from inside a poll.
    pub(crate) fn spent_in_poll(&self) -> Duration {
        self.spent() + Duration::from_nanos(self.this_poll_ns())
    }

    /// Begins again at zero, for an instance that is used once more.
    pub(crate) fn reset(&self) {
        self.spent_ns.store(0, Relaxed);
    }

    fn this_poll_ns(&self) -> u64 {
        thread_ns().saturating_sub(self.poll_began_ns.load(Relaxed))
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
    use super::*;
    use std::time::Instant;

    fn spin(time: Duration) {
        let until = thread_ns() + u64::try_from(time.as_nanos()).expect("short");
        while thread_ns() < until {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn time_spent_waiting_is_not_counted() {
        let meter = Meter::default();
        let began = Instant::now();
        meter
            .measure(tokio::time::sleep(Duration::from_millis(50)))
            .await;
        assert!(began.elapsed() >= Duration::from_millis(50));
        assert!(
            meter.spent() < Duration::from_millis(20),
            "{:?}",
            meter.spent()
        );
    }

    #[tokio::test]
    async fn work_is_counted_while_it_runs_and_after() {
        let meter = Meter::default();
        meter
            .measure(async {
                spin(Duration::from_millis(10));
                tokio::task::yield_now().await;
                spin(Duration::from_millis(10));
                assert!(meter.spent_in_poll() >= Duration::from_millis(20));
            })
            .await;
        assert!(meter.spent() >= Duration::from_millis(20));
        meter.reset();
        assert_eq!(meter.spent(), Duration::ZERO);
    }
}

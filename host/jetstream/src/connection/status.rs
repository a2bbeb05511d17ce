//! What a connection reports about itself.

use crate::error::Action;
use async_nats::{Event, ServerError};
use tokio::sync::{broadcast, watch};

/// Denials kept for a slow receiver.
const DENIALS_KEPT: usize = 256;

/// Whether the broker can be reached just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Connected,
    Disconnected,
}

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub link: Link,
    /// How often it was connected again since it was made. A receiver that
    /// slept through a short break still sees that there was one.
    pub reconnects: u64,
    /// Messages that the client threw away because a receiver was too slow.
    pub overflows: u64,
}

/// Something that the broker forbids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub action: Action,
    pub subject: String,
}

impl Denial {
    /// Reads the broker's line, such as
    /// `Permissions Violation for Publish to "a.b"`. The protocol has no other
    /// form for it.
    fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("Permissions Violation for ")?;
        let (action, rest) = if let Some(rest) = rest.strip_prefix("Publish to ") {
            (Action::Publish, rest)
        } else if let Some(rest) = rest.strip_prefix("Publish with Reply of ") {
            (Action::Publish, rest)
        } else {
            (Action::Subscribe, rest.strip_prefix("Subscription to ")?)
        };
        let subject = rest.strip_prefix('"')?.split('"').next()?.to_owned();
        Some(Self { action, subject })
    }
}

/// Turns the client's events into watchable values.
#[derive(Debug)]
pub(super) struct Monitor {
    status: watch::Sender<Status>,
    denials: broadcast::Sender<Denial>,
    /// Connections made, the first one included.
    connects: std::sync::atomic::AtomicU64,
}

impl Monitor {
    pub(super) fn new() -> Self {
        let first = Status {
            link: Link::Connected,
            reconnects: 0,
            overflows: 0,
        };
        Self {
            status: watch::Sender::new(first),
            denials: broadcast::Sender::new(DENIALS_KEPT),
            connects: Default::default(),
        }
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn denials(&self) -> broadcast::Receiver<Denial> {
        self.denials.subscribe()
    }

    pub(super) fn record(&self, event: Event) {
        match event {
            Event::Connected => {
                let before = self
                    .connects
                    .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.status.send_modify(|status| {
                    status.link = Link::Connected;
                    status.reconnects = before;
                });
            }
            Event::Disconnected | Event::Closed => {
                self.status
                    .send_modify(|status| status.link = Link::Disconnected);
            }
            Event::SlowConsumer(_) => self.status.send_modify(|status| status.overflows += 1),
            Event::ServerError(ServerError::Other(line)) => match Denial::parse(&line) {
                // No receiver is no error: denials only explain a silence.
                Some(denial) => drop(self.denials.send(denial)),
                None => tracing::warn!(message = %line, "the broker reports an error"),
            },
            Event::ServerError(error) => {
                tracing::warn!(message = %error, "the broker reports an error");
            }
            Event::ClientError(error) => tracing::debug!(message = %error, "not connected yet"),
            Event::LameDuckMode | Event::Draining => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_permission_lines_are_understood() {
        let cases = [
            (
                r#"Permissions Violation for Publish to "a.b""#,
                Action::Publish,
                "a.b",
            ),
            (
                r#"Permissions Violation for Publish with Reply of "r.1""#,
                Action::Publish,
                "r.1",
            ),
            (
                r#"Permissions Violation for Subscription to "a.*""#,
                Action::Subscribe,
                "a.*",
            ),
            (
                r#"Permissions Violation for Subscription to "a" using queue "q""#,
                Action::Subscribe,
                "a",
            ),
        ];
        for (line, action, subject) in cases {
            let expected = Denial {
                action,
                subject: subject.to_owned(),
            };
            assert_eq!(Denial::parse(line), Some(expected), "{line}");
        }
        assert_eq!(Denial::parse("Maximum Connections Exceeded"), None);
    }

    #[test]
    fn the_first_connection_is_no_reconnect_and_a_missed_break_still_counts() {
        let monitor = Monitor::new();
        let status = monitor.status();
        monitor.record(Event::Connected);
        assert_eq!(status.borrow().reconnects, 0);
        monitor.record(Event::Disconnected);
        assert_eq!(status.borrow().link, Link::Disconnected);
        monitor.record(Event::Connected);
        assert_eq!(status.borrow().link, Link::Connected);
        assert_eq!(status.borrow().reconnects, 1);
    }
}

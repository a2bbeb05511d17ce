//! Publishing to streams with many acknowledgements under way.
//!
//! The client's own way starts a task and a channel for each publish. Here one
//! wildcard subscription receives all acknowledgements, and the last token of
//! the reply subject names a slot of a table as large as the window. A slot's
//! generation tells a late answer from the answer to its next user.
//!
//! Messages are handed to the client in lots (see [`crate::lots`]).
//!
//! It never sends a message again: silence is ambiguous, and only the caller
//! knows what a repetition means.

mod answer;
mod post;
mod table;

use crate::connection::{Connection, Link};
use crate::error::Error;
use answer::Reader;
use async_nats::{HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use post::{Letter, Post};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use table::{Claim, Window};
use tokio::time::Instant;

/// How long a publish waits for its acknowledgement unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Answers that are taken at once.
const LOT_MAX: usize = 256;

/// A message is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub stream: Arc<str>,
    /// Where it stands; of the first copy when it is a duplicate.
    pub sequence: u64,
    /// The stream knew the message id already, and stored nothing.
    pub duplicate: bool,
}

/// A message is not stored, or it is unknown whether it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The compare-and-set of a subject or stream failed: another write won.
    #[error("the last sequence is not the expected one (found {actual:?})")]
    WrongLastSequence { actual: Option<u64> },
    /// Another write of the subject or of the message id is under way, or the
    /// stream has too many; nothing is stored, and trying again helps.
    #[error("the stream is busy: {text} ({code})")]
    Busy { code: u64, text: String },
    /// A limit of the stream or of the account is reached.
    #[error("the stream takes no more: {text} ({code})")]
    Full { code: u64, text: String },
    #[error("the message is too large for the broker or the stream")]
    TooLarge,
    /// The client refuses the subject; nothing was sent.
    #[error("the subject is not one")]
    BadSubject,
    /// No stream takes the subject, or the one that does has no leader now.
    #[error("no stream answers")]
    NoStream,
    #[error("the broker forbids to publish there")]
    Denied,
    /// JetStream is not available just now; nothing is stored.
    #[error("JetStream is not available: {text} ({code})")]
    Unavailable { code: u64, text: String },
    /// Silence until the deadline, or the connection broke after the message
    /// had been sent: it may be stored, and may be stored later.
    #[error("no acknowledgement: it is unknown whether the message is stored")]
    Unanswered,
    #[error("the stream refuses: {text} ({code})")]
    Other { code: u64, text: String },
    #[error("the connection is closed")]
    Closed,
}

/// Publishes with a bounded window. Clones share window and connection.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    /// Reply subjects without their last token, ending in a dot.
    prefix: String,
    window: Arc<Window>,
    post: Arc<Post>,
    receiver: tokio::task::JoinHandle<()>,
    sender: tokio::task::JoinHandle<()>,
}

impl Publisher {
    /// A publisher with `window` messages under way at most (1 to 65,536).
    ///
    /// # Panics
    /// When `window` is out of bounds.
    ///
    /// # Errors
    /// `Closed` when the connection is.
    pub async fn new(connection: Connection, window: usize) -> Result<Self, Error> {
        Self::with_deadline(connection, window, DEADLINE).await
    }

    /// As [`Publisher::new`] with another patience.
    pub async fn with_deadline(
        connection: Connection,
        window: usize,
        deadline: Duration,
    ) -> Result<Self, Error> {
        assert!(
            (1..=65_536).contains(&window),
            "a window of {window} messages"
        );
        let prefix = format!("{}.", connection.client().new_inbox());
        let replies = connection
            .client()
            .subscribe(format!("{prefix}*"))
            .await
            .map_err(|_| Error::Closed)?;
        let window = Arc::new(Window::new(window));
        let receiver = Receiver {
            connection: connection.clone(),
            window: window.clone(),
            deadline,
        };
        let receiver = tokio::spawn(receiver.run(replies, prefix.len()));
        let post = Arc::new(Post::default());
        let sender = {
            let (post, window) = (post.clone(), window.clone());
            tokio::spawn(async move { post.run(&connection, &window).await })
        };
        Ok(Self {
            inner: Arc::new(Inner {
                prefix,
                window,
                post,
                receiver,
                sender,
            }),
        })
    }

    /// Publishes and waits for the acknowledgement.
    ///
    /// # Errors
    /// See [`PublishError`].
    ///
    /// # Cancel safety
    /// The message may have been sent.
    pub async fn publish(
        &self,
        subject: impl Into<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Ack, PublishError> {
        self.send(subject, headers, payload).await.await
    }

    /// Waits for room in the window and sends, together with what other tasks
    /// send by then; the result is the future acknowledgement. What one task
    /// sends arrives in that order.
    ///
    /// # Cancel safety
    /// The message may have been sent.
    pub async fn send(
        &self,
        subject: impl Into<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Pending {
        let subject = subject.into();
        let claim = self.inner.window.claim(subject.clone()).await;
        let ticket = claim.ticket();
        let reply = Subject::from(format!("{}{ticket}", self.inner.prefix));
        let letter = Letter {
            ticket,
            subject,
            reply,
            headers,
            payload,
        };
        self.inner.post.send(letter, &self.inner.window);
        Pending { claim }
    }

    /// Messages that have been sent, or are about to be, and not been answered.
    pub fn in_flight(&self) -> usize {
        self.inner.window.in_use()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.receiver.abort();
        self.sender.abort();
        self.window.settle_all(|_| true, &PublishError::Closed);
    }
}

/// An acknowledgement on its way. Dropping it forgets the answer, not the
/// message; its place in the window stays taken until the answer or deadline.
#[must_use = "a publish is not done before it is acknowledged"]
pub struct Pending {
    claim: Claim,
}

impl Future for Pending {
    type Output = Result<Ack, PublishError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().claim.poll(cx)
    }
}

/// Hands answers to their slots, and silence to those that waited too long.
struct Receiver {
    connection: Connection,
    window: Arc<Window>,
    deadline: Duration,
}

impl Receiver {
    async fn run(self, mut replies: Subscriber, prefix: usize) {
        let mut status = self.connection.status();
        let mut denials = self.connection.denials();
        let mut sweep = tokio::time::interval(self.deadline / 20);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reader = Reader::new(prefix);
        let mut lost: Option<Instant> = None;
        loop {
            // Answers last: they are taken in lots, and a flood of them must
            // not keep the rest waiting.
            tokio::select! {
                biased;
                now = sweep.tick() => {
                    let late = |sent: Instant| now.saturating_duration_since(sent) >= self.deadline;
                    self.window.settle_all(|slot| late(slot.sent), &PublishError::Unanswered);
                }
                Ok(()) = status.changed() => {
                    let now = status.borrow_and_update().link;
                    self.link_changed(now, &mut lost);
                }
                Ok(denial) = denials.recv() => {
                    let denied = |subject: &Subject| subject.as_str() == denial.subject;
                    self.window.settle_all(|slot| denied(slot.subject), &PublishError::Denied);
                }
                reply = replies.next() => match reply {
                    Some(reply) => self.answer(&mut reader, reply, &mut replies),
                    None => return self.window.settle_all(|_| true, &PublishError::Closed),
                },
            }
        }
    }

    /// Answers with this reply and with what else has arrived by now.
    fn answer(&self, reader: &mut Reader, first: Message, replies: &mut Subscriber) {
        let more = std::iter::from_fn(|| replies.next().now_or_never().flatten());
        let lot = std::iter::once(first).chain(more).take(LOT_MAX);
        let answers: Vec<_> = lot.filter_map(|reply| reader.read(&reply)).collect();
        self.window.settle(answers);
    }

    /// What was sent before the connection broke is not answered after it came
    /// back, so there is nothing to wait for until the deadline.
    fn link_changed(&self, link: Link, lost: &mut Option<Instant>) {
        match link {
            Link::Disconnected => *lost = Some(Instant::now()),
            Link::Connected => {
                if let Some(lost) = lost.take() {
                    self.window
                        .settle_all(|slot| slot.sent < lost, &PublishError::Unanswered);
                }
            }
        }
    }
}

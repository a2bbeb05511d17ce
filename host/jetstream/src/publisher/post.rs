//! Messages on their way to the client, sent in lots.
//!
//! The runtime runs what a task has woken right after it. So a connection that is
//! handed one message writes one, while a hundred tasks stand ready to add theirs:
//! a system call for each message, here and at the broker. The sender lets all that
//! are ready go first, and then hands over what has come together. When nobody
//! else is ready, that is at once.

use super::PublishError;
use super::table::{Ticket, Window};
use crate::connection::Connection;
use async_nats::{HeaderMap, PublishErrorKind, Subject};
use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A message to be sent.
pub(super) struct Letter {
    pub(super) ticket: Ticket,
    pub(super) subject: Subject,
    pub(super) reply: Subject,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
}

/// What waits to be sent, in order: as many as fit into the window, and as many
/// again that are given up and not yet taken out.
#[derive(Default)]
pub(super) struct Post {
    letters: Mutex<Vec<Letter>>,
    posted: Notify,
}

impl Post {
    pub(super) fn send(&self, letter: Letter, window: &Window) {
        let mut letters = self.letters();
        // While the client takes none, those whose time is up would heap up.
        if letters.len() >= window.size() {
            window.retain_open(&mut letters, |letter| letter.ticket);
        }
        letters.push(letter);
        if letters.len() == 1 {
            self.posted.notify_one();
        }
    }

    /// Hands letters to the client, for ever.
    pub(super) async fn run(&self, connection: &Connection, window: &Window) {
        let mut lot = Vec::new();
        loop {
            self.posted.notified().await;
            tokio::task::yield_now().await;
            std::mem::swap(&mut lot, &mut *self.letters());
            window.retain_open(&mut lot, |letter| letter.ticket);
            for letter in lot.drain(..) {
                let ticket = letter.ticket;
                if let Err(error) = hand_over(connection, letter).await {
                    window.settle(vec![(ticket, Err(error))]);
                }
            }
        }
    }

    fn letters(&self) -> MutexGuard<'_, Vec<Letter>> {
        // Nothing in here panics half-way, so a poisoned list is whole.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hand_over(connection: &Connection, letter: Letter) -> Result<(), PublishError> {
    let Letter {
        subject,
        reply,
        headers,
        payload,
        ticket: _,
    } = letter;
    let client = connection.client();
    let sent = match headers {
        Some(headers) => {
            let sent = client.publish_with_reply_and_headers(subject, reply, headers, payload);
            sent.await
        }
        None => client.publish_with_reply(subject, reply, payload).await,
    };
    sent.map_err(|error| match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge,
        PublishErrorKind::InvalidSubject => PublishError::BadSubject,
        PublishErrorKind::Send => PublishError::Closed,
    })
}

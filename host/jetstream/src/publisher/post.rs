//! Messages on their way to the client, handed over in lots.

use super::PublishError;
use super::table::{Ticket, Window};
use crate::connection::Connection;
use crate::lots::Lots;
use async_nats::{HeaderMap, PublishErrorKind, Subject};
use bytes::Bytes;

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
pub(super) struct Post(Lots<Letter>);

impl Post {
    pub(super) fn send(&self, letter: Letter, window: &Window) {
        // While the client takes none, those whose time is up would heap up.
        if self.0.put(letter) > 2 * window.size() {
            let open = |letters: &mut Vec<Letter>| window.retain_open(letters, |l| l.ticket);
            self.0.tidy(open);
        }
    }

    /// Hands letters to the client, for ever.
    pub(super) async fn run(&self, connection: &Connection, window: &Window) {
        let mut lot = Vec::new();
        loop {
            self.0.ready().await;
            self.0.take(&mut lot);
            window.retain_open(&mut lot, |letter| letter.ticket);
            for letter in lot.drain(..) {
                let ticket = letter.ticket;
                if let Err(error) = hand_over(connection, letter).await {
                    window.settle(vec![(ticket, Err(error))]);
                }
            }
        }
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

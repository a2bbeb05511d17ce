//! Status messages of pull requests, as a closed list.

use async_nats::header::{NATS_LAST_CONSUMER, NATS_LAST_STREAM};
use async_nats::{HeaderMap, Message};

/// What the broker says about a pull request or its consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// The consumer is there. Its own sequence and the stream's, as far as it
    /// has sent or passed over.
    Heartbeat {
        last_consumer: Option<u64>,
        last_stream: Option<u64>,
    },
    /// The request is over; there was no more within its time or limits.
    Over,
    /// The request is over, because its bytes are used up.
    BytesReached,
    /// The consumer is deleted.
    Deleted,
    /// The consumer works on, elsewhere, and knows nothing of the request.
    Moved,
    /// Nobody listens: there is no such consumer, or no leader just now.
    NoResponders,
    /// The request is not accepted.
    Refused { code: u16, text: String },
}

impl Status {
    pub(crate) fn of(message: &Message) -> Option<Self> {
        let code = message.status?.as_u16();
        let text = message.description.as_deref().unwrap_or_default();
        Some(match (code, text) {
            (100, _) => Self::Heartbeat {
                last_consumer: number(message.headers.as_ref(), NATS_LAST_CONSUMER),
                last_stream: number(message.headers.as_ref(), NATS_LAST_STREAM),
            },
            (404 | 408, _) => Self::Over,
            (409, "Message Size Exceeds MaxBytes") => Self::BytesReached,
            (409, "Batch Completed") => Self::Over,
            (409, "Consumer Deleted") => Self::Deleted,
            (409, "Leadership Change" | "Server Shutdown") => Self::Moved,
            (503, _) => Self::NoResponders,
            // 400, the limits of 409, 423, and whatever comes with later servers.
            (code, text) => Self::Refused {
                code,
                text: text.to_owned(),
            },
        })
    }
}

fn number(headers: Option<&HeaderMap>, name: async_nats::HeaderName) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(code: u16, text: &str) -> Message {
        Message {
            subject: "inbox.1".into(),
            reply: None,
            payload: Default::default(),
            headers: None,
            status: Some(async_nats::StatusCode::from_u16(code).expect("a status")),
            description: Some(text.to_owned()),
            length: 0,
        }
    }

    #[test]
    fn each_status_has_one_meaning() {
        let refused = |code, text: &str| Status::Refused {
            code,
            text: text.to_owned(),
        };
        let cases = [
            (404, "No Messages", Status::Over),
            (408, "Request Timeout", Status::Over),
            (408, "Interest Expired", Status::Over),
            (409, "Batch Completed", Status::Over),
            (409, "Message Size Exceeds MaxBytes", Status::BytesReached),
            (409, "Consumer Deleted", Status::Deleted),
            (409, "Leadership Change", Status::Moved),
            (409, "Server Shutdown", Status::Moved),
            (
                409,
                "Exceeded MaxWaiting",
                refused(409, "Exceeded MaxWaiting"),
            ),
            (400, "Bad Request", refused(400, "Bad Request")),
            (423, "Nats-Wrong-Pin-Id", refused(423, "Nats-Wrong-Pin-Id")),
            (503, "", Status::NoResponders),
        ];
        for (code, text, meaning) in cases {
            assert_eq!(
                Status::of(&message(code, text)),
                Some(meaning),
                "{code} {text}"
            );
        }
    }

    #[test]
    fn a_heartbeat_tells_how_far_the_consumer_is() {
        let mut heartbeat = message(100, "Idle Heartbeat");
        let mut headers = HeaderMap::new();
        headers.insert(NATS_LAST_CONSUMER, "7");
        headers.insert(NATS_LAST_STREAM, "70");
        heartbeat.headers = Some(headers);
        let wanted = Status::Heartbeat {
            last_consumer: Some(7),
            last_stream: Some(70),
        };
        assert_eq!(Status::of(&heartbeat), Some(wanted));
    }
}

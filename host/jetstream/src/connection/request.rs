//! Requests to the JetStream API.
//!
//! A request that permissions forbid is answered with silence, and the reason
//! comes separately, as an error of the connection. Here both are brought
//! together, so that a missing permission is named and not waited for.

use super::{Connection, Denial};
use crate::error::{Action, Error};
use async_nats::{Message, RequestErrorKind, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::broadcast;

/// First tokens of the subjects of the JetStream API.
pub const API_PREFIX: &str = "$JS.API";
/// How long a request waits for its answer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

impl Connection {
    /// Sends a request and waits for one answer, whatever it says.
    ///
    /// # Errors
    /// `Denied`, `TimedOut`, `NoResponder`, `Unsendable` or `Closed`.
    ///
    /// # Cancel safety
    /// The request may have been sent and carried out.
    pub async fn request(&self, subject: &str, payload: Bytes) -> Result<Message, Error> {
        let denials = self.denials();
        let answer = self.client.request(subject.to_owned(), payload);
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(message) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    Err(Error::NoResponder { subject: subject.to_owned() })
                }
                Ok(message) => Ok(message),
                Err(error) => Err(classify(subject, &error)),
            },
            action = denied(denials, subject) => {
                Err(Error::Denied { action, subject: subject.to_owned() })
            }
        }
    }

    /// Calls the JetStream API at `$JS.API.<path>` and reads the answer.
    ///
    /// # Errors
    /// As [`Connection::request`]; `Api` when JetStream refuses, `Malformed`
    /// when the answer has another shape.
    ///
    /// # Cancel safety
    /// The call may have been carried out.
    pub async fn api<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, Error> {
        let subject = format!("{API_PREFIX}.{path}");
        let answer = self.request(&subject, body).await?;
        let malformed = |error: serde_json::Error| Error::Malformed {
            subject: subject.clone(),
            reason: error.to_string(),
        };
        let refusal: Refusal = serde_json::from_slice(&answer.payload).map_err(malformed)?;
        match refusal.error {
            None => serde_json::from_slice(&answer.payload).map_err(malformed),
            Some(fault) => Err(Error::Api {
                subject: subject.clone(),
                err_code: fault.err_code,
                status: fault.code,
                text: fault.description,
            }),
        }
    }
}

/// The part of every answer that says whether the call failed.
#[derive(Deserialize)]
struct Refusal {
    error: Option<Fault>,
}

/// JetStream's error object, in API answers and in publish acknowledgements.
#[derive(Debug, Deserialize)]
pub(crate) struct Fault {
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

/// Ends when the broker says that `subject` may not be published to, or that
/// answers may not be received.
async fn denied(mut denials: broadcast::Receiver<Denial>, subject: &str) -> Action {
    loop {
        match denials.recv().await {
            Ok(denial) if denial.action == Action::Publish && denial.subject == subject => {
                return Action::Publish;
            }
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn classify(subject: &str, error: &async_nats::RequestError) -> Error {
    let subject = subject.to_owned();
    match error.kind() {
        RequestErrorKind::TimedOut => {
            let after_ms = u64::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
            Error::TimedOut { subject, after_ms }
        }
        RequestErrorKind::NoResponders => Error::NoResponder { subject },
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            Error::Unsendable {
                subject,
                reason: error.to_string(),
            }
        }
        RequestErrorKind::Other => Error::Closed,
    }
}

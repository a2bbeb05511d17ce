//! Reads publish acknowledgements.

use super::table::{Answer, Ticket};
use super::{Ack, PublishError};
use crate::connection::Fault;
use async_nats::{Message, StatusCode};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Stream names that are kept, so that an acknowledgement allocates none.
const NAMES_KEPT: usize = 64;

/// Reads acknowledgements; remembers the names of streams.
pub(super) struct Reader {
    /// Length of a reply subject before its last token.
    prefix: usize,
    names: Vec<Arc<str>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Fault>,
}

impl Reader {
    pub(super) fn new(prefix: usize) -> Self {
        Self {
            prefix,
            names: Vec::new(),
        }
    }

    /// Whose answer it is, and what it says; None for what is no answer.
    pub(super) fn read(&mut self, reply: &Message) -> Option<(Ticket, Answer)> {
        let ticket = Ticket::parse(reply.subject.as_str().get(self.prefix..)?)?;
        Some((ticket, self.answer(reply)))
    }

    fn answer(&mut self, reply: &Message) -> Answer {
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(PublishError::NoStream);
        }
        match serde_json::from_slice::<Body<'_>>(&reply.payload) {
            Ok(Body {
                error: Some(fault), ..
            }) => Err(refusal(fault)),
            Ok(body) if body.seq > 0 => Ok(Ack {
                stream: self.name(&body.stream),
                sequence: body.seq,
                duplicate: body.duplicate,
            }),
            // Something answered that is no stream, such as a plain subscriber.
            Ok(_) => Err(not_an_ack("no sequence in it".to_owned())),
            Err(error) => Err(not_an_ack(error.to_string())),
        }
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| known.as_ref() == name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        if self.names.len() < NAMES_KEPT {
            self.names.push(new.clone());
        }
        new
    }
}

fn not_an_ack(reason: String) -> PublishError {
    PublishError::Other {
        code: 0,
        text: format!("the answer is no acknowledgement: {reason}"),
    }
}

/// The server's codes, from its list of JetStream API errors.
fn refusal(fault: Fault) -> PublishError {
    let code = fault.err_code;
    let text = fault.description;
    match code {
        10071 => PublishError::WrongLastSequence {
            actual: last_number(&text),
        },
        // 10164 has the wording of 10071, but means that another write of the
        // subject is under way and its outcome unknown.
        10158 | 10163 | 10164 | 10167 | 10176 | 10210 | 10211 => PublishError::Busy { code, text },
        10002 | 10023 | 10028 | 10047 | 10077 | 10120 | 10122 => PublishError::Full { code, text },
        10054 | 10097 => PublishError::TooLarge,
        10059 => PublishError::NoStream,
        10004..=10009 | 10039 | 10041 | 10076 | 10118 | 10194 => {
            PublishError::Unavailable { code, text }
        }
        _ => PublishError::Other { code, text },
    }
}

/// `wrong last sequence: 7` holds the number nowhere else.
fn last_number(text: &str) -> Option<u64> {
    text.rsplit(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(payload: &'static str, status: Option<StatusCode>) -> Message {
        Message {
            subject: "r.1-2".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    fn answer(reply: &Message) -> Answer {
        Reader::new("r.".len())
            .read(reply)
            .expect("addressed to a slot")
            .1
    }

    fn read(payload: &'static str) -> Answer {
        answer(&reply(payload, None))
    }

    #[test]
    fn acknowledgements_are_read() {
        let ack = |duplicate| Ack {
            stream: "S".into(),
            sequence: 7,
            duplicate,
        };
        assert_eq!(read(r#"{"stream":"S", "seq":7}"#), Ok(ack(false)));
        assert_eq!(
            read(r#"{"stream":"S","domain":"d","seq":7,"duplicate":true}"#),
            Ok(ack(true))
        );
    }

    #[test]
    fn what_is_addressed_to_no_slot_is_passed_over() {
        for subject in ["", "r", "r.", "r.x", "r.1", "r.1-2-3"] {
            let stray = Message {
                subject: subject.into(),
                ..reply("{}", None)
            };
            assert!(Reader::new("r.".len()).read(&stray).is_none(), "{subject}");
        }
    }

    #[test]
    fn each_refusal_has_its_place() {
        let refused = |code: u64, text: &str| {
            refusal(Fault {
                code: 400,
                err_code: code,
                description: text.to_owned(),
            })
        };
        let wrong = PublishError::WrongLastSequence { actual: Some(12) };
        assert_eq!(refused(10071, "wrong last sequence: 12"), wrong);
        let unsaid = PublishError::WrongLastSequence { actual: None };
        assert_eq!(refused(10071, "wrong last sequence"), unsaid);
        for code in [10158, 10163, 10164, 10167, 10176, 10210] {
            assert!(
                matches!(refused(code, ""), PublishError::Busy { .. }),
                "{code}"
            );
        }
        for code in [10002, 10023, 10028, 10047, 10077, 10122] {
            assert!(
                matches!(refused(code, ""), PublishError::Full { .. }),
                "{code}"
            );
        }
        for code in [10008, 10009, 10039, 10076, 10118] {
            assert!(
                matches!(refused(code, ""), PublishError::Unavailable { .. }),
                "{code}"
            );
        }
        assert_eq!(refused(10054, ""), PublishError::TooLarge);
        assert!(matches!(
            refused(10109, "sealed"),
            PublishError::Other { code: 10109, .. }
        ));
    }

    #[test]
    fn silence_of_the_subject_and_strange_answers_are_told_apart() {
        let none = answer(&reply("", Some(StatusCode::NO_RESPONDERS)));
        assert_eq!(none, Err(PublishError::NoStream));
        for payload in ["", "+OK", "{}", "[]", "null", r#"{"stream":"S"}"#] {
            assert!(
                matches!(read(payload), Err(PublishError::Other { code: 0, .. })),
                "{payload}"
            );
        }
    }
}

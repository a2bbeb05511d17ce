//! A record as the ledger's leader has it.

use wharf_core::ids::entity_token;
use wharf_core::record::{self, Record};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::names::Lineage;

use crate::cli::failure::Failure;
use crate::codes::Code;

/// A record and where it lies.
#[derive(Debug, Clone)]
pub struct Stored {
    pub record: Record,
    /// Stands for the key in subjects.
    pub token: String,
    pub subject: String,
    /// Its sequence in the ledger stream.
    pub revision: u64,
}

/// Reads an entity's record. None: there is none, or no ledger.
///
/// # Errors
/// The broker does not answer; the bytes are no record of this key.
pub async fn record(api: &Api, lineage: &Lineage, key: &str) -> Result<Option<Stored>, Failure> {
    let token = entity_token(key);
    let subject = lineage.record(&token);
    let found = api
        .message(&lineage.ledger_stream(), &Query::last(&subject))
        .await?;
    // An expired record leaves no marker, and an empty message is none.
    let Some(message) = found.filter(|message| !message.data.is_empty()) else {
        return Ok(None);
    };
    let unreadable = |error: record::Error| {
        Failure::new(Code::RecordUnreadable, error.to_string()).place(subject.clone())
    };
    let record = record::decode(&message.data).map_err(unreadable)?;
    record.check_key(key).map_err(unreadable)?;
    Ok(Some(Stored {
        record,
        token,
        subject: subject.clone(),
        revision: message.sequence,
    }))
}

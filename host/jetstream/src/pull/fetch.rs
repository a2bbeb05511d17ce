//! Looks at stored messages one by one, past the client's parser: the API
//! shows header and payload in base64.

use crate::api::Api;
use crate::api::message::{Query, StoredMessage};
use crate::error::Error;
use crate::pull::{Headers, is_subject_text};
use futures_util::future::try_join_all;

/// False when the client would drop the connection on receiving it.
pub(crate) fn is_receivable(message: &StoredMessage) -> bool {
    is_subject_text(&message.subject) && Headers::raw(message.header_block.clone()).is_clean()
}

/// The first message at or behind `from` that one of the filters selects; all
/// messages when there is no filter.
pub(crate) async fn next_stored(
    api: &Api,
    stream: &str,
    filters: &[String],
    from: u64,
) -> Result<Option<StoredMessage>, Error> {
    let filters: Vec<&str> = match filters {
        [] => vec![">"],
        some => some.iter().map(String::as_str).collect(),
    };
    let queries: Vec<_> = filters
        .iter()
        .map(|filter| Query::next(filter, from))
        .collect();
    let asked = queries.iter().map(|query| api.message(stream, query));
    let found = try_join_all(asked).await?;
    Ok(found
        .into_iter()
        .flatten()
        .min_by_key(|message| message.sequence))
}

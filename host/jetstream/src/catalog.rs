//! The streams of the account: what they hold, within which limits, and which
//! one a subject goes to.
//!
//! A catalog is a picture of one moment. Nothing here creates or changes a
//! stream.

pub mod lookup;
mod transform;

use std::collections::BTreeMap;

use wharf_core::manifest::Start;
use wharf_core::pattern::Pattern;

use crate::api::Api;
use crate::api::message::Query;
use crate::api::stream::StreamInfo;
use crate::error::Error;

/// All streams of the account, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    streams: BTreeMap<String, StreamInfo>,
}

/// Where messages on the subjects of a pattern go.
#[derive(Debug, Clone)]
pub enum Covering<'a> {
    /// Every one goes to this stream.
    One(&'a StreamInfo),
    /// No stream takes any.
    None,
    /// Some go to this stream, others nowhere.
    Partly(&'a StreamInfo),
    /// Several streams take some.
    Many(Vec<&'a StreamInfo>),
}

impl Catalog {
    /// Reads all pages of the list.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub async fn read(api: &Api) -> Result<Self, Error> {
        let mut streams = BTreeMap::new();
        let mut offset = 0;
        loop {
            let page = api.streams(offset).await?;
            let found = page.streams.unwrap_or_default();
            offset += found.len();
            // An empty page ends the list even when streams vanished meanwhile.
            let is_last = found.is_empty() || offset >= page.total;
            streams.extend(
                found
                    .into_iter()
                    .map(|info| (info.config.name.clone(), info)),
            );
            if is_last {
                return Ok(Self { streams });
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&StreamInfo> {
        self.streams.get(name)
    }

    /// In the order of their names.
    pub fn streams(&self) -> impl Iterator<Item = &StreamInfo> {
        self.streams.values()
    }

    /// Which stream takes what is published on the subjects of `pattern`. For
    /// a template, ask with its pattern.
    pub fn covering(&self, pattern: &Pattern) -> Covering<'_> {
        let takes_some =
            |info: &&StreamInfo| subjects(info).any(|subject| subject.overlaps(pattern));
        let takers: Vec<&StreamInfo> = self.streams().filter(takes_some).collect();
        match takers.as_slice() {
            [] => Covering::None,
            [one] if subjects(one).any(|subject| subject.covers(pattern)) => Covering::One(one),
            [one] => Covering::Partly(one),
            [_, _, ..] => Covering::Many(takers),
        }
    }
}

/// A stream's subjects as patterns. What is no pattern, such as a `*` amid a
/// token, is a literal for the broker that no event can be published on.
fn subjects(info: &StreamInfo) -> impl Iterator<Item = Pattern> {
    info.config
        .subjects
        .iter()
        .filter_map(|subject| Pattern::parse(subject).ok())
}

/// The first sequence that a handler with this `start` is to see: for its first
/// checkpoint, or its consumer.
///
/// # Errors
/// As [`Api::call`].
pub async fn first_sequence(api: &Api, info: &StreamInfo, start: Start) -> Result<u64, Error> {
    let behind_last = info.state.last_sequence + 1;
    match start {
        Start::New => Ok(behind_last),
        Start::All => Ok(1),
        Start::Sequence(sequence) => Ok(sequence),
        Start::TimeMs(ms) => {
            let query = Query::next_since(">", ms.saturating_mul(1_000_000));
            let found = api.message(&info.config.name, &query).await?;
            Ok(found.map_or(behind_last, |message| message.sequence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stream::{StreamConfig, StreamState};

    fn catalog(streams: &[(&str, &[&str])]) -> Catalog {
        let state = StreamState {
            messages: 0,
            bytes: 0,
            first_sequence: 0,
            first_ns: 0,
            last_sequence: 0,
            last_ns: 0,
            deleted: 0,
            deleted_sequences: None,
            subjects: None,
        };
        let info = |(name, subjects): &(&str, &[&str])| {
            let subjects = subjects.iter().map(ToString::to_string).collect();
            let config = StreamConfig::new(*name, subjects);
            (
                (*name).to_owned(),
                StreamInfo {
                    config,
                    created_ns: 0,
                    state: state.clone(),
                },
            )
        };
        Catalog {
            streams: streams.iter().map(info).collect(),
        }
    }

    #[test]
    fn a_pattern_is_covered_by_one_stream_by_none_in_part_or_by_many() {
        let all = catalog(&[
            ("SHOP", &["shop.*.*.>"]),
            ("AUDIT", &["audit.>", "shop.log"]),
            ("ODD", &["a*b.c"]),
            ("VIP", &["shop2.order.A.>"]),
        ]);
        let of = |text: &str| match all.covering(&Pattern::parse(text).unwrap()) {
            Covering::One(info) => format!("one {}", info.config.name),
            Covering::None => "none".to_owned(),
            Covering::Partly(info) => format!("partly {}", info.config.name),
            Covering::Many(infos) => format!("many {}", infos.len()),
        };
        assert_eq!(of("shop.order.{key}.confirmed"), "one SHOP");
        assert_eq!(of("shop.log"), "one AUDIT");
        assert_eq!(of("elsewhere.{key}"), "none");
        assert_eq!(of("shop2.order.{key}.placed"), "partly VIP");
        assert_eq!(of("shop.>"), "many 2");
    }
}

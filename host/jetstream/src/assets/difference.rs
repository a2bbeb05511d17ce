//! Compares what is wanted with what the broker has, field by field.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::wanted::Kind;
use crate::api::consumer::ConsumerConfig;
use crate::api::stream::StreamConfig;

/// One field that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the broker's configuration names it.
    pub field: &'static str,
    pub wanted: String,
    pub found: String,
    pub remedy: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is {} and has to be {}",
            self.field, self.found, self.wanted
        )
    }
}

struct Field {
    name: &'static str,
    rule: Rule,
    change: Change,
}

#[derive(Clone, Copy)]
enum Rule {
    Equal,
    /// More is as good.
    AtLeast,
}

/// Whether the broker lets it be changed.
#[derive(Clone, Copy)]
enum Change {
    Edit,
    Never,
}

const fn field(name: &'static str, rule: Rule, change: Change) -> Field {
    Field { name, rule, change }
}

/// What every stream of Wharf needs to keep what it acknowledged.
const STREAM: [Field; 13] = [
    field("subjects", Rule::Equal, Change::Edit),
    field("retention", Rule::Equal, Change::Never),
    field("discard", Rule::Equal, Change::Edit),
    field("storage", Rule::Equal, Change::Never),
    field("num_replicas", Rule::Equal, Change::Edit),
    field("max_bytes", Rule::Equal, Change::Edit),
    field("max_msgs", Rule::Equal, Change::Edit),
    field("max_msgs_per_subject", Rule::Equal, Change::Edit),
    field("max_age", Rule::Equal, Change::Edit),
    field("no_ack", Rule::Equal, Change::Edit),
    field("sealed", Rule::Equal, Change::Never),
    field("mirror", Rule::Equal, Change::Never),
    field("persist_mode", Rule::Equal, Change::Never),
];

const EVENTS: [Field; 2] = [
    field("duplicate_window", Rule::AtLeast, Change::Edit),
    field("allow_direct", Rule::Equal, Change::Edit),
];

const LEDGER: [Field; 8] = [
    field("allow_direct", Rule::Equal, Change::Edit),
    field("allow_msg_ttl", Rule::Equal, Change::Edit),
    field("deny_delete", Rule::Equal, Change::Never),
    field("deny_purge", Rule::Equal, Change::Never),
    field("max_msg_size", Rule::Equal, Change::Edit),
    field("sources", Rule::Equal, Change::Edit),
    field("subject_delete_marker_ttl", Rule::Equal, Change::Edit),
    field("subject_transform", Rule::Equal, Change::Edit),
];

const TIMERS: [Field; 5] = [
    field("allow_msg_schedules", Rule::Equal, Change::Edit),
    field("allow_rollup_hdrs", Rule::Equal, Change::Edit),
    field("deny_purge", Rule::Equal, Change::Never),
    field("sources", Rule::Equal, Change::Edit),
    field("subject_transform", Rule::Equal, Change::Edit),
];

const REGISTRY: [Field; 4] = [
    field("allow_direct", Rule::Equal, Change::Edit),
    field("allow_msg_ttl", Rule::Equal, Change::Edit),
    field("allow_rollup_hdrs", Rule::Equal, Change::Edit),
    field("deny_purge", Rule::Equal, Change::Never),
];

/// The start position counts at creation only, and is not among them.
const CONSUMER: [Field; 8] = [
    field("ack_policy", Rule::Equal, Change::Never),
    field("ack_wait", Rule::Equal, Change::Edit),
    field("max_deliver", Rule::Equal, Change::Edit),
    field("max_ack_pending", Rule::AtLeast, Change::Edit),
    field("backoff", Rule::Equal, Change::Edit),
    field("headers_only", Rule::Equal, Change::Edit),
    field("inactive_threshold", Rule::Equal, Change::Edit),
    field("priority_policy", Rule::Equal, Change::Edit),
];

/// What of `found` is not as in `wanted`; nothing but the fields that matter
/// for a stream of this kind is looked at.
pub(super) fn stream_differences(
    kind: Kind,
    wanted: &StreamConfig,
    found: &StreamConfig,
) -> Vec<Difference> {
    let of_kind: &[Field] = match kind {
        Kind::Events => &EVENTS,
        Kind::Ledger => &LEDGER,
        Kind::Timers => &TIMERS,
        Kind::Registry => &REGISTRY,
    };
    let place = format!("stream edit {}", wanted.name);
    // The registry is shared by all places of an account.
    let shared = |field: &&Field| kind == Kind::Registry && field.name == "num_replicas";
    let fields = STREAM.iter().filter(|field| !shared(field)).chain(of_kind);
    compare(&sorted(wanted), &sorted(found), fields, &place)
}

/// The same for a consumer of `stream`.
pub(super) fn consumer_differences(
    stream: &str,
    wanted: &ConsumerConfig,
    found: &ConsumerConfig,
) -> Vec<Difference> {
    let place = format!(
        "consumer edit {stream} {}",
        wanted.name.as_deref().unwrap_or_default()
    );
    let mut differences = compare(wanted, found, CONSUMER.iter(), &place);
    // One filter and a list of one filter are the same.
    if wanted.filters() != found.filters() {
        differences.push(Difference {
            field: "filter_subjects",
            wanted: format!("{:?}", wanted.filters()),
            found: format!("{:?}", found.filters()),
            remedy: remedy(Change::Edit, &place),
        });
    }
    differences
}

fn sorted(config: &StreamConfig) -> StreamConfig {
    let mut config = config.clone();
    config.subjects.sort_unstable();
    config
}

fn compare<'f, T: Serialize>(
    wanted: &T,
    found: &T,
    fields: impl Iterator<Item = &'f Field>,
    place: &str,
) -> Vec<Difference> {
    let (wanted, found) = (object(wanted), object(found));
    let differs = |field: &&Field| {
        let (wanted, found) = (value(&wanted, field.name), value(&found, field.name));
        match field.rule {
            Rule::Equal => wanted != found,
            Rule::AtLeast => found.as_i64() < wanted.as_i64(),
        }
    };
    let difference = |field: &Field| Difference {
        field: field.name,
        wanted: shown(value(&wanted, field.name)),
        found: shown(value(&found, field.name)),
        remedy: remedy(field.change, place),
    };
    fields.filter(differs).map(difference).collect()
}

/// Serialising brings both to one form; it cannot fail for these types.
fn object<T: Serialize>(config: &T) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

/// What the broker writes for "not set" is as good as leaving it out.
fn value<'v>(config: &'v Value, name: &str) -> &'v Value {
    const UNSET: Value = Value::Null;
    match config.get(name) {
        Some(Value::Bool(false)) | None => &UNSET,
        Some(Value::String(text)) if matches!(text.as_str(), "" | "none" | "default") => &UNSET,
        Some(Value::Number(number)) if number.as_i64() == Some(0) => &UNSET,
        Some(Value::Array(items)) if items.is_empty() => &UNSET,
        Some(set) => set,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        set => set.to_string(),
    }
}

fn remedy(change: Change, place: &str) -> String {
    match change {
        Change::Edit => format!("change it with `nats {place}`, or declare what is there"),
        Change::Never => {
            "it cannot be changed: use another name, or remove it when nothing of it is needed"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::stream::{Discard, Storage};
    use std::collections::BTreeMap;

    fn ledger() -> StreamConfig {
        StreamConfig {
            allow_direct: true,
            allow_msg_ttl: true,
            max_msgs_per_subject: 1,
            discard: Discard::New,
            ..StreamConfig::new("WHARF-L-a-1", vec!["wl.a-1.>".into()])
        }
    }

    #[test]
    fn each_field_that_matters_is_named_and_no_other() {
        let found = StreamConfig {
            allow_msg_ttl: false,
            storage: Storage::Memory,
            duplicate_window: 7,
            persist_mode: Some("default".to_owned()),
            metadata: BTreeMap::from([("_nats.level".into(), "5".into())]),
            ..ledger()
        };
        let differences = stream_differences(Kind::Ledger, &ledger(), &found);
        let fields: Vec<_> = differences
            .iter()
            .map(|difference| difference.field)
            .collect();
        assert_eq!(fields, ["storage", "allow_msg_ttl"]);
        assert_eq!(
            differences[0].to_string(),
            "`storage` is \"memory\" and has to be \"file\""
        );
        assert_eq!(
            differences[1].to_string(),
            "`allow_msg_ttl` is not set and has to be true"
        );
        assert_eq!(stream_differences(Kind::Ledger, &ledger(), &ledger()), []);
    }

    #[test]
    fn a_longer_duplicate_window_serves_and_a_shorter_one_does_not() {
        let window = |duplicate_window| StreamConfig {
            duplicate_window,
            ..ledger()
        };
        assert_eq!(stream_differences(Kind::Events, &window(5), &window(6)), []);
        assert_eq!(
            stream_differences(Kind::Events, &window(5), &window(4)).len(),
            1
        );
    }

    #[test]
    fn one_filter_and_a_list_of_one_are_the_same() {
        let list = ConsumerConfig {
            filter_subjects: vec!["a".into()],
            ..Default::default()
        };
        let one = ConsumerConfig {
            filter_subject: Some("a".into()),
            ..Default::default()
        };
        assert_eq!(consumer_differences("S", &list, &one), []);
        let other = ConsumerConfig {
            filter_subject: Some("b".into()),
            ..Default::default()
        };
        assert_eq!(
            consumer_differences("S", &list, &other)[0].field,
            "filter_subjects"
        );
    }
}

//! Rules across files: what each file alone cannot know.
//!
//! Every file is valid by itself when it comes here. What the broker knows is
//! optional; a rule that needs a fact which is not there says nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::config::units::format_size;
use crate::config::{Code, Located, Mark, Problem};
use crate::manifest::Manifest;
use crate::needs::Needs;
use crate::pattern::Pattern;
use crate::place::{Place, Stream};

/// What a record holds beside state and emissions, in bytes: ids, timers,
/// block, and the headers of the message.
pub const RECORD_HEADROOM_BYTES: u64 = 128 << 10;
/// Consumers of a stream that readers may take: the broker is safe with 1,000,
/// and each reader has up to three while it moves.
pub const READERS_MAX: u64 = 900;
const CONSUMERS_A_READER: u64 = 3;

/// The files of a place, each already valid.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    pub manifests: &'a [Located<Manifest>],
    /// None: not at hand; handlers' needs are not looked up.
    pub needs: Option<&'a Located<Needs>>,
    /// None: not at hand; streams are not looked up.
    pub place: Option<&'a Located<Place>>,
}

/// Every problem between the files, ordered by file and position.
pub fn check(files: Files<'_>) -> Vec<Problem> {
    let mut problems = duplicate_names(files.manifests);
    for manifest in files.manifests {
        if let Some(place) = files.place {
            streams(manifest, &place.value, &mut problems);
        }
        if let Some(needs) = files.needs {
            addresses(manifest, &needs.value, &mut problems);
        }
        own_emissions(manifest, &mut problems);
    }
    if let Some(place) = files.place {
        problems.extend(readers(files.manifests, place));
    }
    problems.sort_by(|a, b| {
        (&a.file, a.line, a.column, a.code).cmp(&(&b.file, b.line, b.column, b.code))
    });
    problems
}

/// Handlers that may write a record which does not fit into one message of a
/// broker.
pub fn too_large(manifests: &[Located<Manifest>], max_payload_bytes: u64) -> Vec<Problem> {
    let sized = |manifest| record_size(manifest, max_payload_bytes);
    manifests.iter().filter_map(sized).collect()
}

fn duplicate_names(manifests: &[Located<Manifest>]) -> Vec<Problem> {
    let mut seen: BTreeMap<&str, &Located<Manifest>> = BTreeMap::new();
    let mut problems = Vec::new();
    for manifest in manifests {
        let name = manifest.value.name.as_str();
        match seen.get(name) {
            Some(first) => {
                let Mark { line, .. } = first.nearest(&["name"]);
                let message = format!(
                    "`{name}` is also the name of the handler in {}:{line}",
                    first.file
                );
                let remedy = "give the newer one another name; state and dedup belong to the name";
                problems.push(manifest.problem(
                    &["name"],
                    Code::DuplicateHandler,
                    message,
                    remedy.to_owned(),
                ));
            }
            None => drop(seen.insert(name, manifest)),
        }
    }
    problems
}

fn streams(manifest: &Located<Manifest>, place: &Place, problems: &mut Vec<Problem>) {
    let name = &manifest.value.stream;
    match place.streams.get(name) {
        Some(stream) => subscriptions(manifest, stream, problems),
        None => {
            let message = format!("there is no stream `{name}` in this place");
            let remedy = format!(
                "add [streams.{name}] to wharf.toml, or name {}",
                one_of(place.streams.keys())
            );
            problems.push(manifest.problem(&["stream"], Code::UnknownStream, message, remedy));
        }
    }
    for (event_type, template) in &manifest.value.emits {
        let pattern = template.pattern();
        if place
            .streams
            .values()
            .filter(|stream| covers(stream, &pattern))
            .count()
            != 1
        {
            let message = format!("`{template}` is not held by exactly one stream");
            let remedy = uncovered_remedy(place, &pattern);
            problems.push(manifest.problem(
                &["emits", event_type],
                Code::UncoveredEmission,
                message,
                remedy,
            ));
        }
    }
}

fn subscriptions(manifest: &Located<Manifest>, stream: &Stream, problems: &mut Vec<Problem>) {
    for (on, subscription) in manifest.value.on.iter().enumerate() {
        for (at, pattern) in subscription
            .subjects
            .iter()
            .enumerate()
            .filter(|(_, p)| !covers(stream, p))
        {
            let path = ["on", &on.to_string(), "subjects", &at.to_string()];
            let message = format!(
                "`{pattern}` is not held by stream `{}`",
                manifest.value.stream
            );
            let remedy = format!(
                "the stream holds {}; narrow the pattern, or widen the stream",
                one_of(&stream.subjects)
            );
            problems.push(manifest.problem(&path, Code::UncoveredSubscription, message, remedy));
        }
    }
}

fn uncovered_remedy(place: &Place, pattern: &Pattern) -> String {
    let meets = |stream: &Stream| {
        stream
            .subjects
            .iter()
            .any(|subject| subject.overlaps(pattern))
    };
    let partly: Vec<&String> = place
        .streams
        .iter()
        .filter(|(_, s)| meets(s))
        .map(|(name, _)| name)
        .collect();
    if partly.is_empty() {
        format!(
            "add `{}` to a stream of wharf.toml, or change the subject",
            pattern.filter()
        )
    } else {
        format!(
            "{} holds some of its subjects only; widen it, or change the subject",
            one_of(partly)
        )
    }
}

fn addresses(manifest: &Located<Manifest>, needs: &Needs, problems: &mut Vec<Problem>) {
    for (name, policy) in &manifest.value.needs {
        let Some(need) = needs.get(name) else {
            let message = format!("nobody says where the need `{name}` is");
            let remedy = format!("add [needs.{name}] with its url to needs.toml");
            problems.push(manifest.problem(&["needs", name], Code::UnknownNeed, message, remedy));
            continue;
        };
        let credential = need.auth.as_ref().map(|auth| &auth.header);
        if policy.idempotency_header.is_some() && policy.idempotency_header.as_ref() == credential {
            let message =
                format!("`needs.{name}.idempotency_header` is the header of the need's credential");
            let remedy = "name the header that the need reads idempotency keys from".to_owned();
            let path = ["needs", name, "idempotency_header"];
            problems.push(manifest.problem(&path, Code::Contradiction, message, remedy));
        }
    }
}

/// A loop ends at `limits.hops`; an emission to another entity of the same
/// handler is a way of working. So this is a warning.
fn own_emissions(manifest: &Located<Manifest>, problems: &mut Vec<Problem>) {
    for (event_type, template) in &manifest.value.emits {
        let pattern = template.pattern();
        let read = manifest.value.on.iter().any(|subscription| {
            let listed = subscription
                .types
                .as_ref()
                .is_none_or(|types| types.contains(event_type));
            listed
                && subscription
                    .subjects
                    .iter()
                    .any(|subject| subject.overlaps(&pattern))
        });
        if read {
            let message = format!("the handler reads `{event_type}`, which it emits");
            let remedy =
                "see that every chain ends; `limits.hops` cuts one that does not".to_owned();
            problems.push(manifest.problem(
                &["emits", event_type],
                Code::SelfEmission,
                message,
                remedy,
            ));
        }
    }
}

fn record_size(manifest: &Located<Manifest>, max_payload_bytes: u64) -> Option<Problem> {
    let limits = &manifest.value.limits;
    let state = if manifest.value.state.is_some() {
        limits.state_bytes
    } else {
        0
    };
    let emissions = if manifest.value.emits.is_empty() {
        0
    } else {
        limits.emit_bytes
    };
    let room = max_payload_bytes.saturating_sub(RECORD_HEADROOM_BYTES);
    if state + emissions <= room {
        return None;
    }
    let message = format!(
        "state ({}) and emissions ({}) do not fit into one message: the broker leaves {}",
        format_size(state),
        format_size(emissions),
        format_size(room)
    );
    let remedy = "lower limits.state_bytes or limits.emit_bytes, or raise the broker's max_payload";
    let key = if manifest.place(&["limits", "state_bytes"]).is_some() {
        "state_bytes"
    } else {
        "emit_bytes"
    };
    Some(manifest.problem(
        &["limits", key],
        Code::RecordTooLarge,
        message,
        remedy.to_owned(),
    ))
}

fn readers(manifests: &[Located<Manifest>], place: &Located<Place>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, stream) in &place.value.streams {
        let handlers = manifests
            .iter()
            .filter(|manifest| manifest.value.stream == *name)
            .count() as u64;
        let consumers = handlers * u64::from(stream.partitions) * CONSUMERS_A_READER;
        if consumers > READERS_MAX {
            let message =
                format!("the handlers of stream `{name}` need up to {consumers} consumers");
            let remedy = format!(
                "at most {READERS_MAX} are safe: split the stream, or lower its partitions"
            );
            problems.push(place.problem(&["streams", name], Code::TooManyReaders, message, remedy));
        }
    }
    problems
}

fn covers(stream: &Stream, pattern: &Pattern) -> bool {
    stream
        .subjects
        .iter()
        .any(|subject| subject.covers(pattern))
}

fn one_of(items: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| format!("`{item}`")).collect();
    if quoted.is_empty() {
        "one".to_owned()
    } else {
        quoted.join(" or ")
    }
}

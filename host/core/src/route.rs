//! Which entity of a handler an event is of, if it is for the handler at all.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::event::{Event, Undecodable};
use crate::manifest::{Manifest, Ordering, Subscription};
use crate::pattern::{Captures, KEY_BYTES_MAX, KeyRule, Pointer};

/// Types that begin so are the host's own.
const RESERVED: &str = "wharf.";

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the guest.
    Run {
        /// 1 to 256 bytes; empty when the subscription has no key rule.
        key: String,
        /// Index in the manifest's `on`.
        subscription: usize,
    },
    /// Its type is not listed: settled without the guest. Its key, if it has
    /// one: another version may have handled it, and left something to finish.
    Ignored { key: Option<String> },
    /// It has no key, or no subscription. Parked as it came.
    Undecodable(Undecodable),
}

/// Decides by subject, then type, then key rule. A type that is not listed is
/// ignored whether or not a key could be found.
pub fn route(manifest: &Manifest, event: &Event) -> Route {
    route_by(&manifest.on, manifest.ordering, event)
}

/// The same for an event that an earlier version's subscriptions, `before`, have
/// begun: its entity is theirs. What this version does not listen to is ignored,
/// once what was left of it is finished.
pub fn route_begun(before: &[Subscription], manifest: &Manifest, event: &Event) -> Route {
    match route_by(before, manifest.ordering, event) {
        Route::Run { key, .. } => route_known(manifest, event, key),
        Route::Undecodable(_) if listens(manifest, event).is_none() => Route::Ignored { key: None },
        begun @ (Route::Ignored { .. } | Route::Undecodable(_)) => begun,
    }
}

/// The same for an event whose key is known: it has been queued under it.
pub fn route_known(manifest: &Manifest, event: &Event, key: String) -> Route {
    match listens(manifest, event) {
        Some(subscription) => Route::Run { key, subscription },
        None => Route::Ignored { key: Some(key) },
    }
}

/// The subscription by which the guest hears of an event; none when it does not.
pub fn listens(manifest: &Manifest, event: &Event) -> Option<usize> {
    let subscribed = |on: &Subscription| {
        let mut patterns = on.subjects.iter();
        patterns.any(|pattern| pattern.matches(&event.subject).is_some())
    };
    let first = manifest.on.iter().position(subscribed)?;
    is_listed(&manifest.on[first], event).then_some(first)
}

fn route_by(on: &[Subscription], ordering: Ordering, event: &Event) -> Route {
    // A stranger must not be able to fire a timer.
    if event.event_type.starts_with(RESERVED) {
        let event_type = event.event_type.clone();
        return Route::Undecodable(Undecodable::ReservedType { event_type });
    }
    for (index, subscription) in on.iter().enumerate() {
        let found = subscription
            .subjects
            .iter()
            .find_map(|pattern| pattern.matches(&event.subject));
        let Some(captures) = found else { continue };
        let key = key_of(ordering, subscription, event, &captures);
        if !is_listed(subscription, event) {
            return Route::Ignored { key: key.ok() };
        }
        return match key {
            Ok(key) => Route::Run {
                key,
                subscription: index,
            },
            Err(reason) => Route::Undecodable(reason),
        };
    }
    Route::Undecodable(Undecodable::NoSubscription)
}

fn is_listed(subscription: &Subscription, event: &Event) -> bool {
    match &subscription.types {
        Some(types) => types.contains(&event.event_type),
        None => true,
    }
}

fn key_of(
    ordering: Ordering,
    subscription: &Subscription,
    event: &Event,
    captures: &Captures<'_, '_>,
) -> Result<String, Undecodable> {
    let key = match &subscription.key {
        Some(KeyRule::Template(template)) => template
            .key_of(captures)
            .map_err(|error| no_key(error.to_string()))?,
        Some(KeyRule::Data(pointer)) => from_data(pointer, &event.data)?,
        Some(KeyRule::Header(name)) => only("header", name, &event.headers)?,
        Some(KeyRule::Attribute(name)) => from_attribute(name, event)?,
        None if ordering == Ordering::None => return Ok(String::new()),
        None => return Err(no_key("the subscription has no key rule".to_owned())),
    };
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(key),
        bytes => Err(Undecodable::KeyLength { bytes }),
    }
}

fn from_data(pointer: &Pointer, data: &[u8]) -> Result<String, Undecodable> {
    let document: Value = serde_json::from_slice(data)
        .map_err(|error| no_key(format!("the data is not JSON: {error}")))?;
    let at = pointer.as_str();
    match document.pointer(at) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        Some(
            Value::Number(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_),
        ) => Err(no_key(format!(
            "`{at}` in the data is neither a string nor a whole number"
        ))),
        None => Err(no_key(format!("the data has no `{at}`"))),
    }
}

fn from_attribute(name: &str, event: &Event) -> Result<String, Undecodable> {
    match name {
        "source" => Ok(event.source.clone()),
        "type" => Ok(event.event_type.clone()),
        _ => only("attribute", name, &event.attributes),
    }
}

/// The value under a name; the same value repeated is one.
fn only(what: &str, name: &str, pairs: &[(String, String)]) -> Result<String, Undecodable> {
    let mut values = pairs
        .iter()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value);
    let Some(first) = values.next() else {
        return Err(no_key(format!("the event has no {what} `{name}`")));
    };
    if values.any(|other| other != first) {
        return Err(no_key(format!(
            "the {what} `{name}` has more than one value"
        )));
    }
    Ok(first.clone())
}

fn no_key(reason: String) -> Undecodable {
    Undecodable::NoKey { reason }
}

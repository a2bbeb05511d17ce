//! Which subject an event of a type goes to, as the manifests say.
//!
//! An `[emits]` entry of the type says it outright. Else a subscription does,
//! when its pattern has one capture, for the key, and its other tokens are the
//! type's: `order.placed` goes to `shop.order.{order}.placed`.

use std::collections::BTreeMap;

use wharf_core::manifest::{Manifest, Subscription};
use wharf_core::pattern::{KEY_BYTES_MAX, Pattern, SUBJECT_BYTES_MAX, Template};
use wharf_jetstream::api::stream::StreamInfo;

use crate::bundle::Shelf;
use crate::cli::failure::Failure;
use crate::codes::Code;

/// Templates, and the handlers that say them.
type Candidates = BTreeMap<Template, Vec<String>>;

/// The one subject for a type and a key.
///
/// # Errors
/// The key is none; no manifest says where the type goes; several say so
/// differently.
pub fn find(shelf: &Shelf, event_type: &str, key: &str) -> Result<String, Failure> {
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        let message = format!(
            "the key has {} bytes; 1 to {KEY_BYTES_MAX} are allowed",
            key.len()
        );
        return Err(Failure::new(Code::BadKey, message));
    }
    let manifests: Vec<&Manifest> = shelf
        .bundles
        .iter()
        .map(|bundle| &bundle.manifest)
        .collect();
    let candidates = candidates(&manifests, event_type);
    let mut templates = candidates.keys();
    match (templates.next(), templates.next()) {
        (None, _) => Err(nowhere(&manifests, event_type)),
        (Some(template), None) => template
            .subject_for(key)
            .map_err(|error| Failure::new(Code::BadKey, error.to_string())),
        (Some(_), Some(_)) => Err(several(&candidates, event_type, key)),
    }
}

/// A subject that was given.
///
/// # Errors
/// It is none for events.
pub fn checked(subject: &str) -> Result<String, Failure> {
    let bad = |reason: &str| {
        Err(Failure::new(
            Code::BadSubject,
            format!("`{subject}` {reason}"),
        ))
    };
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return bad(&format!(
            "has {} bytes; 1 to {SUBJECT_BYTES_MAX} are allowed",
            subject.len()
        ));
    }
    for token in subject.split('.') {
        if token.is_empty() {
            return bad("has an empty token");
        }
        if token.contains(['*', '>']) {
            return bad("holds a wildcard; an event is published on one subject");
        }
        if token.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return bad("holds white space");
        }
    }
    let first = subject.split('.').next().unwrap_or_default();
    if Pattern::parse(first).is_ok_and(|first| first.is_reserved()) {
        return bad("is kept for the host or the broker");
    }
    Ok(subject.to_owned())
}

/// Whether a stream takes what is published on a subject.
pub fn holds(stream: &StreamInfo, subject: &str) -> bool {
    let patterns = stream
        .config
        .subjects
        .iter()
        .filter_map(|pattern| Pattern::parse(pattern).ok());
    patterns
        .into_iter()
        .any(|pattern| pattern.matches(subject).is_some())
}

fn candidates(manifests: &[&Manifest], event_type: &str) -> Candidates {
    let mut emitted = Candidates::new();
    for manifest in manifests {
        if let Some(template) = manifest.emits.get(event_type) {
            emitted
                .entry(template.clone())
                .or_default()
                .push(manifest.name.clone());
        }
    }
    if !emitted.is_empty() {
        return emitted;
    }
    let mut read = Candidates::new();
    for manifest in manifests {
        for subscription in &manifest.on {
            for template in subscription
                .subjects
                .iter()
                .filter_map(|p| read_as(p, subscription, event_type))
            {
                let handlers: &mut Vec<String> = read.entry(template).or_default();
                if handlers.last() != Some(&manifest.name) {
                    handlers.push(manifest.name.clone());
                }
            }
        }
    }
    read
}

/// The template by which a subscription reads a type, when its pattern tells.
fn read_as(pattern: &Pattern, subscription: &Subscription, event_type: &str) -> Option<Template> {
    let is_listed = |types: &Vec<String>| types.iter().any(|known| known == event_type);
    if !subscription.types.as_ref().is_none_or(is_listed) {
        return None;
    }
    let (aggregate, what) = event_type.rsplit_once('.')?;
    let aggregate = aggregate.rsplit('.').next().unwrap_or(aggregate);
    let mut captures = pattern.captures();
    let (capture, none) = (format!("{{{}}}", captures.next()?), captures.next());
    let is_key = subscription
        .key
        .as_ref()
        .is_none_or(|rule| rule.to_string() == capture);
    if none.is_some() || !is_key {
        return None;
    }
    let text = pattern.to_string();
    let mut tokens: Vec<&str> = text.split('.').collect();
    let last = tokens.pop()?;
    if !tokens.contains(&aggregate) || !matches!(last, "*" | ">") && last != what {
        return None;
    }
    let named = tokens
        .into_iter()
        .map(|token| if token == capture { "{key}" } else { token });
    let subject: Vec<&str> = named.chain([what]).collect();
    // A wildcard that is left makes it no template.
    Template::parse(&subject.join(".")).ok()
}

fn nowhere(manifests: &[&Manifest], event_type: &str) -> Failure {
    let emitted = manifests.iter().flat_map(|manifest| manifest.emits.keys());
    let listed = manifests
        .iter()
        .flat_map(|m| m.on.iter().filter_map(|on| on.types.as_ref()).flatten());
    let known: std::collections::BTreeSet<&String> = emitted.chain(listed).collect();
    let failure = Failure::new(
        Code::NoSubject,
        format!("no manifest says where `{event_type}` goes"),
    );
    if known.is_empty() {
        return failure;
    }
    let known: Vec<&str> = known.into_iter().map(String::as_str).collect();
    failure.remedy(format!(
        "name the subject with --subject; the manifests name {}",
        known.join(", ")
    ))
}

fn several(candidates: &Candidates, event_type: &str, key: &str) -> Failure {
    let said = |(template, handlers): (&Template, &Vec<String>)| {
        let subject = template
            .subject_for(key)
            .unwrap_or_else(|_| template.to_string());
        format!("{subject} ({})", handlers.join(", "))
    };
    let subjects: Vec<String> = candidates.iter().map(said).collect();
    Failure::new(
        Code::ManySubjects,
        format!("`{event_type}` could go to {}", subjects.join(" or ")),
    )
    .remedy("name one of them with --subject")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_core::manifest;

    fn found(manifests: &[&str], event_type: &str) -> Vec<String> {
        let manifests: Vec<Manifest> = manifests
            .iter()
            .map(|text| manifest::parse("handler.toml", text).expect("the manifest is valid"))
            .collect();
        let manifests: Vec<&Manifest> = manifests.iter().collect();
        candidates(&manifests, event_type)
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    const ORDER: &str = "name = 'order'\nstream = 'SHOP'\n[[on]]\nsubjects = ['shop.order.{order}.placed', 'shop.order.{order}.paid']\nkey = '{order}'\n[emits]\n'stock.reserve' = 'shop.stock.{key}.reserve'";
    const STOCK: &str = "name = 'stock'\nstream = 'SHOP'\n[[on]]\nsubjects = ['shop.stock.{sku}.*']\nkey = '{sku}'\ntypes = ['stock.stocked', 'stock.reserve']";
    const AUDIT: &str = "name = 'audit'\nstream = 'SHOP'\n[[on]]\nsubjects = ['shop.{aggregate}.{id}.>']\nkey = '{aggregate}/{id}'";
    const OTHER: &str = "name = 'other'\nstream = 'B'\n[[on]]\nsubjects = ['backup.order.{id}.placed']\nkey = '{id}'";

    #[test]
    fn an_emission_says_it_outright_and_a_subscription_by_its_tokens() {
        let shop = [ORDER, STOCK, AUDIT];
        assert_eq!(found(&shop, "stock.reserve"), ["shop.stock.{key}.reserve"]);
        assert_eq!(found(&shop, "order.placed"), ["shop.order.{key}.placed"]);
        assert_eq!(
            found(&shop, "stock.stocked"),
            ["shop.stock.{key}.stocked"],
            "a wildcard takes the type's last word"
        );
    }

    #[test]
    fn what_no_manifest_tells_has_no_subject_and_what_two_tell_has_two() {
        assert_eq!(
            found(&[ORDER, STOCK, AUDIT], "order.shipped"),
            Vec::<String>::new()
        );
        assert_eq!(
            found(&[ORDER, STOCK, AUDIT], "stock.stolen"),
            Vec::<String>::new(),
            "its type is not listed"
        );
        assert_eq!(
            found(&[AUDIT], "order.placed"),
            Vec::<String>::new(),
            "two captures do not tell the key"
        );
        let both = found(&[ORDER, OTHER], "order.placed");
        assert_eq!(
            both,
            ["backup.order.{key}.placed", "shop.order.{key}.placed"]
        );
    }

    #[test]
    fn subjects_that_are_not_for_events_are_refused() {
        for bad in [
            "",
            "a..b",
            "a.*",
            "a.>",
            "a b",
            "$JS.API.INFO",
            "wl.order-1.r.x",
            "_INBOX.a",
        ] {
            assert_eq!(checked(bad).unwrap_err().code, Code::BadSubject, "{bad}");
        }
        assert_eq!(
            checked("shop.order.A%2AB.placed").unwrap(),
            "shop.order.A%2AB.placed"
        );
    }
}

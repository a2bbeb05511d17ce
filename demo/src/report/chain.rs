//! The audit's chains: whole, unbroken, and about everything that happened.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use audit_chain::{Link, Verifier};
use percent_encoding::percent_decode_str;

use super::checks::Check;
use crate::stream::Stored;

/// Two laws: each chain holds in itself and against the events, and each event
/// of an aggregate is in its chain once.
pub fn checks(events: &[Stored], links: &[Stored]) -> [Check; 2] {
    let (links, mut offenders) = read(links);
    offenders.extend(breaks(&links, events));
    let keys: BTreeSet<&str> = links.iter().map(|link| link.key.as_str()).collect();
    let says = format!("{} chains with {} links", keys.len(), links.len());
    [
        Check::new("audit chains", says, offenders),
        whole(events, &links),
    ]
}

/// The links in stream order, and what was none.
fn read(stored: &[Stored]) -> (Vec<Link>, Vec<String>) {
    let mut links = Vec::new();
    let mut offenders = Vec::new();
    for message in stored {
        let place = || format!("{} at {}", message.subject, message.sequence);
        let key = message
            .subject
            .strip_prefix("audit.")
            .and_then(|s| s.strip_suffix(".appended"));
        match (key, serde_json::from_slice::<Link>(&message.data)) {
            (Some(key), Ok(link)) if decoded(key) == link.key => links.push(link),
            (_, Ok(link)) => offenders.push(format!("{}: a link of {}", place(), link.key)),
            (_, Err(error)) => offenders.push(format!("{}: not a link: {error}", place())),
        }
    }
    (links, offenders)
}

/// The first break of each chain that has one.
fn breaks(links: &[Link], events: &[Stored]) -> Vec<String> {
    let events: HashMap<u64, &Stored> =
        events.iter().map(|event| (event.sequence, event)).collect();
    let mut verifier = Verifier::default();
    let mut broken = BTreeMap::new();
    for link in links {
        if broken.contains_key(&link.key) {
            continue;
        }
        let fault = match verifier.take(link) {
            Err(fault) => Some(fault.to_string()),
            Ok(()) => against_event(link, events.get(&link.sequence).copied())
                .map(|fault| format!("the chain `{}` at link {}: {fault}", link.key, link.n)),
        };
        if let Some(fault) = fault {
            broken.insert(link.key.clone(), fault);
        }
    }
    broken.into_values().collect()
}

/// Whether the link stands for the event that lies where it says.
fn against_event(link: &Link, event: Option<&Stored>) -> Option<String> {
    let Some(event) = event else {
        return Some(format!("there is no event at {}", link.sequence));
    };
    let differs = if event.event_id().is_some_and(|id| id != link.id) {
        "id"
    } else if event.subject != link.subject {
        "subject"
    } else if !link.is_of(&event.data) {
        "data"
    } else {
        return None;
    };
    Some(format!(
        "the event at {} has another {differs}",
        link.sequence
    ))
}

/// Every event of an aggregate is audited, and none twice.
fn whole(events: &[Stored], links: &[Link]) -> Check {
    let mut audited = BTreeMap::<(&str, &str, &str), usize>::new();
    for link in links {
        *audited
            .entry((&link.key, &link.source, &link.id))
            .or_default() += 1;
    }
    let ids: BTreeSet<(&str, &str)> = audited.keys().map(|(key, _, id)| (*key, *id)).collect();
    let places: BTreeSet<u64> = links.iter().map(|link| link.sequence).collect();
    let mut offenders = Vec::new();
    let mut count = 0;
    for event in events {
        let Some(key) = aggregate(&event.subject) else {
            continue;
        };
        count += 1;
        // An event that came again has its link where it came first.
        let by_id = event
            .event_id()
            .is_some_and(|id| ids.contains(&(key.as_str(), id)));
        if !by_id && !places.contains(&event.sequence) {
            offenders.push(format!(
                "{} at {} is not audited",
                event.subject, event.sequence
            ));
        }
    }
    let twice = audited.iter().filter(|(_, links)| **links > 1);
    offenders.extend(twice.map(|((key, _, id), n)| format!("{key}: {id} is audited {n} times")));
    Check::new("audit is whole", format!("{count} events"), offenders)
}

/// `order/ORD-1` for `shop.order.ORD-1.placed`.
fn aggregate(subject: &str) -> Option<String> {
    let mut tokens = subject.strip_prefix("shop.")?.splitn(3, '.');
    let (aggregate, id, _what) = (tokens.next()?, tokens.next()?, tokens.next()?);
    Some(format!("{}/{}", decoded(aggregate), decoded(id)))
}

fn decoded(token: &str) -> String {
    percent_decode_str(token).decode_utf8_lossy().into_owned()
}

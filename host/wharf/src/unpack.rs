//! From a delivery to work: decode, find the entity.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use wharf_core::entry::Entry;
use wharf_core::event::{Event, Position, Undecodable};
use wharf_core::ids;
use wharf_core::manifest::Subscription;
use wharf_core::route::{Route, route, route_begun, route_known};
use wharf_jetstream::codec;
use wharf_jetstream::pull::{Delivery, Headers, Origin};

use crate::handler::Handler;
use crate::spans;
use crate::work::{Arrival, Hashes, Place, Work};

/// What a delivery turns out to be.
pub enum Unpacked {
    Work(Work),
    /// Its type is not listed: settled without the guest.
    Ignored(Work),
    /// Bytes that are no event of this handler, with what is known of them.
    Stray(Work, Undecodable),
}

/// By which rules an event finds its entity.
#[derive(Clone, Copy)]
pub enum Rules<'a> {
    /// The version's own.
    Own,
    /// The subscriptions of an earlier version, for what those have begun.
    Earlier(&'a [Subscription]),
    /// It has found it: it comes out of the entity's queue.
    Key(&'a str),
}

/// Unpacks a delivery for a handler.
pub fn unpack(
    handler: &Handler,
    delivery: Delivery,
    place: Place,
    arrival: Arrival,
    rules: Rules<'_>,
) -> Unpacked {
    let decoded = codec::decode(&delivery, &codec::Limits::default());
    let decoded = decoded.map_err(|why| (anonymous(&delivery), why));
    let Arrival {
        first_seen,
        received,
        gauge,
    } = arrival;
    let work = |event: Event, key: String, ignored: bool, template: Option<&str>| Work {
        trace: handler.tracer.begin(
            event.traceparent.as_deref(),
            &spans::about(&event, &key, template, received),
        ),
        event,
        key,
        place,
        delivery: Some(delivery),
        first_seen,
        begun: AtomicBool::new(false),
        ignored,
        received,
        gauge,
        hashes: Hashes::default(),
    };
    let event = match decoded {
        Ok(event) => event,
        Err((event, why)) => return Unpacked::Stray(work(event, String::new(), false, None), why),
    };
    let version = handler.version();
    let manifest = &version.manifest;
    let route = match rules {
        Rules::Own => route(manifest, &event),
        Rules::Earlier(before) => route_begun(before, manifest, &event),
        Rules::Key(key) => route_known(manifest, &event, key.to_owned()),
    };
    match route {
        Route::Run { key, subscription } => {
            let template = version.template(subscription, &event.subject);
            Unpacked::Work(work(event, key, false, template))
        }
        Route::Ignored { key } => {
            Unpacked::Ignored(work(event, key.unwrap_or_default(), true, None))
        }
        Route::Undecodable(why) => Unpacked::Stray(work(event, String::new(), false, None), why),
    }
}

/// An entry of the queue, on its way through the lane again, under the key that it
/// was queued by: the manifest may have changed since.
pub fn queued(handler: &Handler, entry: &Entry) -> Unpacked {
    let origin = Origin {
        stream: entry.stream.clone(),
        created_ns: entry.created_ns,
    };
    let place = Place::Queue {
        stream: entry.stream.clone(),
        created_ns: entry.created_ns,
    };
    let position = Position {
        sequence: entry.sequence,
        stored_ns: entry.stored_ns,
    };
    let delivery = Delivery {
        origin: Arc::new(origin),
        position,
        subject: entry.subject.clone(),
        headers: Headers::raw(entry.header_block.clone()),
        payload: entry.data.clone(),
        delivered: 1,
        pending: 0,
        token: None,
    };
    let arrival = Arrival::new(handler, false);
    match unpack(handler, delivery, place, arrival, Rules::Key(&entry.key)) {
        Unpacked::Stray(work, why) => {
            let key = entry.key.clone();
            Unpacked::Stray(Work { key, ..work }, why)
        }
        routed @ (Unpacked::Work(_) | Unpacked::Ignored(_)) => routed,
    }
}

/// The token under which a stray is filed.
pub fn stray_token(work: &Work) -> String {
    let origin = work.delivery.as_ref().map(|delivery| &delivery.origin);
    let (stream, created_ns) = origin.map_or(("", 0), |o| (o.stream.as_str(), o.created_ns));
    ids::entity_token(&format!(
        "\0stray/{stream}/{created_ns}/{}",
        work.sequence()
    ))
}

/// What can be said of bytes that are no event.
fn anonymous(delivery: &Delivery) -> Event {
    let (origin, position) = (&delivery.origin, delivery.position);
    Event {
        id: format!(
            "{}/{}/{}",
            origin.stream, origin.created_ns, position.sequence
        ),
        source: String::new(),
        event_type: String::new(),
        subject: delivery.subject.clone(),
        content_type: String::new(),
        time_ms: position.stored_ns / 1_000_000,
        position,
        correlation_id: None,
        causation_id: None,
        attributes: Vec::new(),
        headers: Vec::new(),
        hops: 0,
        traceparent: None,
        tracestate: None,
        data: Bytes::new(),
    }
}

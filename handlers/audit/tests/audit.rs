//! The chain of one aggregate.

use audit_chain::{Link, Verifier};
use handler_audit::{Chain, audit};
use wharf::testing::{Entity, bytes};

const KEY: &str = "order/ORD-7781";

/// Appends events of several kinds, and gives back the links.
fn links() -> (Entity<audit>, Vec<Link>) {
    let mut entity = Entity::new(KEY);
    let events = [
        bytes("order.placed", *b"{\"customer\":\"ann\"}").subject("shop.order.ORD-7781.placed"),
        bytes("anything", *b"\xff\x00 not text"),
        bytes("order.confirmed", *b""),
    ];
    let links = events.map(|event| {
        let then = entity.when(event).ok();
        assert_eq!(then.types(), ["audit.appended"]);
        assert_eq!(
            then.emitted()[0].key,
            None,
            "a chain has the aggregate's key"
        );
        then.data::<Link>("audit.appended").remove(0)
    });
    (entity, links.to_vec())
}

#[test]
fn every_event_whatever_it_is_becomes_the_next_link() {
    let (_, links) = links();
    let mut verifier = Verifier::default();
    for link in &links {
        verifier.take(link).expect("the chain is whole");
    }
    assert_eq!(
        links.iter().map(|link| link.n).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(links.iter().all(|link| link.key == KEY));
}

#[test]
fn a_link_tells_which_event_it_stands_for() {
    let (_, links) = links();
    let first = &links[0];
    assert_eq!((first.id.as_str(), first.sequence), ("event-1", 1));
    assert_eq!(
        (first.event_type.as_str(), first.subject.as_str()),
        ("order.placed", "shop.order.ORD-7781.placed")
    );
    assert!(first.is_of(b"{\"customer\":\"ann\"}"));
    assert!(!first.is_of(b"{\"customer\":\"bob\"}"));
}

#[test]
fn the_state_is_the_chain_s_head_in_40_bytes() {
    let (entity, links) = links();
    assert_eq!(entity.state(), Some(Chain(links[2].head())));
    assert_eq!(entity.state_bytes().map(<[u8]>::len), Some(40));
}

#[test]
fn an_attempt_that_is_repeated_makes_the_same_link() {
    let event = || bytes("order.placed", *b"{}").id("e-1");
    let link = |mut entity: Entity<audit>| {
        entity
            .when(event())
            .ok()
            .data::<Link>("audit.appended")
            .remove(0)
    };
    assert_eq!(link(Entity::new(KEY)), link(Entity::new(KEY)));
    assert_ne!(
        link(Entity::new(KEY)).hash,
        link(Entity::new("order/ORD-1")).hash
    );
}

#[test]
#[should_panic(expected = "39 bytes instead of 40")]
fn a_state_that_is_no_head_traps() {
    let _ = Entity::<audit>::new(KEY)
        .given_bytes([0; 39])
        .when(bytes("order.placed", *b"{}"));
}

//! Whole chains pass; tampering is found, and the first broken link is named.

use audit_chain::{Digest, Error, Event, Fault, Head, Link, verify};

/// A chain over `count` small events.
fn chain(key: &str, count: u64) -> Vec<Link> {
    let mut head = Head::default();
    let numbers = 1..=count;
    let link = |n: u64| {
        let (id, data) = (format!("e-{n}"), format!("{{\"n\":{n}}}"));
        let (subject, source) = ("shop.order.A.moved", "test");
        let event = Event {
            source,
            id: &id,
            event_type: "order.moved",
            subject,
            sequence: 10 * n,
            data: data.as_bytes(),
        };
        let link = head.append(key, event);
        head = link.head();
        link
    };
    numbers.map(link).collect()
}

fn text(links: &[Link]) -> String {
    links
        .iter()
        .map(|link| serde_json::to_string(link).expect("a link is JSON") + "\n")
        .collect()
}

/// Where a file breaks: line, position, fault.
#[track_caller]
fn broken(links: &[Link]) -> (usize, u64, Fault) {
    match verify(text(links).as_bytes()) {
        Err(Error::Broken { line, broken }) => (line, broken.n, broken.fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_chains_pass_mixed_in_one_file() {
    let (a, b) = (chain("order/A", 3), chain("order/B", 2));
    let mixed = [&a[0], &b[0], &a[1], &a[2], &b[1]].map(Clone::clone);
    let verified = verify(text(&mixed).as_bytes()).expect("both are whole");
    assert_eq!(verified.links(), 5);
    assert_eq!(verified.heads()["order/A"], a[2].head());
    assert_eq!(verified.heads()["order/B"], b[1].head());
}

#[test]
fn every_field_is_part_of_the_hash() {
    let changes: [fn(&mut Link); 7] = [
        |link| link.key.push('x'),
        |link| link.source.push('x'),
        |link| link.id.push('x'),
        |link| link.event_type.push('x'),
        |link| link.subject.push('x'),
        |link| link.sequence += 1,
        |link| link.data_sha256 = Digest::of(b"other data"),
    ];
    for change in changes {
        let mut links = chain("order/A", 1);
        change(&mut links[0]);
        let (line, n, fault) = broken(&links);
        assert_eq!((line, n), (1, 1));
        assert!(matches!(fault, Fault::Content { .. }), "{fault}");
    }
}

#[test]
fn the_first_changed_link_is_named_and_not_a_later_one() {
    let mut links = chain("order/A", 5);
    links[2].id.push('x');
    links[3].id.push('x');
    let (line, n, fault) = broken(&links);
    assert_eq!((line, n), (3, 3));
    assert!(matches!(fault, Fault::Content { .. }), "{fault}");
}

#[test]
fn a_changed_link_with_its_hash_made_anew_breaks_the_next_one() {
    let mut links = chain("order/A", 4);
    links[1].id.push('x');
    links[1].hash = links[1].computed_hash();
    let (line, n, fault) = broken(&links);
    assert_eq!(
        (line, n, fault),
        (
            3,
            3,
            Fault::Joint {
                expected: links[1].hash
            }
        )
    );
}

#[test]
fn a_missing_a_repeated_and_a_swapped_link_are_found() {
    let mut missing = chain("order/A", 4);
    missing.remove(1);
    assert_eq!(broken(&missing), (2, 3, Fault::Position { expected: 2 }));
    let mut repeated = chain("order/A", 4);
    repeated.insert(2, repeated[1].clone());
    assert_eq!(broken(&repeated), (3, 2, Fault::Position { expected: 3 }));
    let mut swapped = chain("order/A", 4);
    swapped.swap(1, 2);
    assert_eq!(broken(&swapped), (2, 3, Fault::Position { expected: 2 }));
    let headless = chain("order/A", 4).split_off(1);
    assert_eq!(broken(&headless), (1, 2, Fault::Position { expected: 1 }));
}

#[test]
fn a_link_of_another_chain_does_not_fit() {
    let mut links = chain("order/A", 2);
    let mut foreign = chain("order/B", 2).remove(1);
    foreign.key = "order/A".into();
    foreign.prev = links[0].hash;
    links[1] = foreign;
    assert!(matches!(broken(&links), (2, 2, Fault::Content { .. })));
}

#[test]
fn what_is_no_link_is_named_by_its_line() {
    let mut file = text(&chain("order/A", 2));
    file.push_str("\n{\"n\": 3}\n");
    assert!(matches!(
        verify(file.as_bytes()),
        Err(Error::NotALink { line: 4, .. })
    ));
}

#[test]
fn a_head_is_read_back_from_its_bytes() {
    let head = chain("order/A", 3)[2].head();
    assert_eq!(Head::from_bytes(&head.to_bytes()), Some(head));
    assert_eq!(Head::from_bytes(&head.to_bytes()[1..]), None);
}

/// Written down once, so that a change of the definition does not pass unseen:
/// chains that exist must verify for ever.
#[test]
fn the_hash_of_a_known_link_is_the_one_written_down() {
    let hash = chain("order/A", 1)[0].hash.to_string();
    assert_eq!(
        hash,
        "77174dcc7b057c9b4d53f71883c866e100b415b7bd3734622440f2c0a93ca3ae"
    );
}

use super::*;

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn author(now_ms: u64) -> Author<'static> {
    Author {
        by: "ana@desk",
        why: "because",
        now_ms,
    }
}

fn first() -> Deployment {
    Deployment::first("payment", "payment-1", digest(1), digest(9), author(1))
}

fn deploy(before: &Deployment, byte: u8) -> Deployment {
    before
        .deployed(digest(byte), digest(9), author(2))
        .expect("it is another version")
}

#[test]
fn a_deployment_survives_the_registry() {
    let third = deploy(&deploy(&first(), 2), 3).paused(Some(3), author(4));
    assert_eq!(decode(&encode(&third)), Ok(third));
}

#[test]
fn what_a_later_version_wrote_is_kept() {
    let mut value: serde_json::Value = serde_json::from_slice(&encode(&first())).expect("JSON");
    value["candidate"] = serde_json::json!({"version": 7, "percent": 5});
    let read = decode(value.to_string().as_bytes()).expect("it parses");
    let written: serde_json::Value =
        serde_json::from_slice(&encode(&deploy(&read, 2))).expect("JSON");
    assert_eq!(written["candidate"], value["candidate"]);
    assert_eq!(written["stable"], 2);
}

#[test]
fn another_format_and_a_dangling_version_are_refused() {
    let text = String::from_utf8(encode(&first())).expect("JSON is text");
    let other = text.replace("\"format\": 1", "\"format\": 2");
    assert_eq!(decode(other.as_bytes()), Err(Error::Format { found: 2 }));
    let dangling = text.replace("\"stable\": 1", "\"stable\": 4");
    assert_eq!(
        decode(dangling.as_bytes()),
        Err(Error::Dangling { stable: 4 })
    );
    let digest = text.replace("sha256-01", "sha256-0G");
    assert!(matches!(
        decode(digest.as_bytes()),
        Err(Error::Malformed { .. })
    ));
}

#[test]
fn the_same_bytes_are_the_same_version() {
    let second = deploy(&first(), 2);
    assert_eq!(second.deployed(digest(2), digest(9), author(3)), None);
    let back = second.deployed(digest(1), digest(9), author(3));
    let back = back.expect("version 1 takes over");
    assert_eq!((back.stable, back.versions.len()), (1, 2));
    let other_manifest = second.deployed(digest(2), digest(8), author(3));
    assert_eq!(other_manifest.expect("a new version").stable, 3);
}

#[test]
fn a_rollback_returns_to_what_had_the_traffic_last() {
    let third = deploy(&deploy(&first(), 2), 3);
    let back = third.rolled_back(None, author(5)).expect("there is one");
    assert_eq!(back.stable, 2);
    assert_eq!(back.history.last().expect("written down").why, "because");
    // Twice is there and back, as with `cd -`.
    let again = back.rolled_back(None, author(6)).expect("there is one");
    assert_eq!(again.stable, 3);
    let named = again.rolled_back(Some(1), author(7)).expect("it is kept");
    assert_eq!(named.stable, 1);
}

#[test]
fn a_rollback_without_a_way_back_says_so() {
    let version = 1;
    assert_eq!(
        first().rolled_back(None, author(2)),
        Err(NoWayBack::First { version })
    );
    assert_eq!(
        first().rolled_back(Some(1), author(2)),
        Err(NoWayBack::Already { version })
    );
    let known = "1, 2".to_owned();
    assert_eq!(
        deploy(&first(), 2).rolled_back(Some(9), author(2)),
        Err(NoWayBack::Unknown { version: 9, known })
    );
}

#[test]
fn a_guards_pause_ends_with_its_version_and_a_persons_does_not() {
    let second = deploy(&first(), 2);
    let tripped = second.paused(Some(2), author(3));
    let back = tripped.rolled_back(None, author(4)).expect("there is one");
    assert_eq!(back.paused, None);
    let stopped = second.paused(None, author(3));
    let back = stopped.rolled_back(None, author(4)).expect("there is one");
    assert_eq!(back.paused, stopped.paused);
    assert_eq!(back.resumed().paused, None);
}

#[test]
fn it_stays_bounded_and_keeps_the_way_back() {
    let mut now = first();
    for byte in 2..=200 {
        now = deploy(&now, byte);
        let back = now.before().expect("there is one");
        assert!(now.version(back).is_some());
    }
    assert_eq!(now.versions.len(), VERSIONS_MAX);
    assert_eq!(now.history.len(), HISTORY_MAX);
    assert_eq!((now.stable, now.before()), (200, Some(199)));
    // A number is never given twice, whatever was forgotten.
    let again = now.deployed(digest(1), digest(9), author(3));
    assert_eq!(again.expect("it was forgotten").stable, 201);
}

#[test]
fn the_version_in_use_is_kept_however_old() {
    let mut now = first();
    for byte in 2..=100 {
        now = deploy(&now, byte);
        now = now.rolled_back(Some(1), author(3)).expect("it is kept");
    }
    assert_eq!(now.in_use().number, 1);
    assert_eq!(now.before(), Some(100));
}

#[test]
fn a_reason_is_cut_at_its_bound() {
    let why = "ä".repeat(WHY_BYTES_MAX);
    let long = Author {
        by: "",
        why: &why,
        now_ms: 0,
    };
    let cut = first().paused(None, long).paused.expect("it is paused").why;
    assert_eq!(cut.len(), WHY_BYTES_MAX);
}

#[test]
fn a_digest_has_one_way_to_be_written() {
    let text = format!("sha256-{}", "ab".repeat(32));
    let digest: Digest = text.parse().expect("it is one");
    assert_eq!(digest.to_string(), text);
    assert_eq!(digest.short(), "abababababab");
    let bad = [
        "",
        "ab",
        &text[..70],
        &text.to_uppercase(),
        &format!("{text}0"),
    ]
    .map(str::to_owned);
    for bad in bad {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
}

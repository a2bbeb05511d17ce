use std::collections::BTreeSet;
use std::time::Duration;

use super::{KEYS, Place, ServerUrl, Servers, parse};
use crate::config::Code::{self, *};
use crate::config::testing::{Rng, absurd, documented, found, mutated};

const SHOP: &str = r#"
[nats]
context = "prod"

[streams.SHOP]
subjects = ["shop.{aggregate}.{id}.>"]
partitions = 1
max_bytes = "50GiB"
replicas = 3

[streams.AUDIT]
subjects = ["audit.>"]
replicas = 3
"#;

/// What is written, the line of the problem, its code.
const MISTAKES: &[(&str, u32, Code)] = &[
    ("[nast]", 1, UnknownKey),
    (
        "[nats]\nurl = \"nats://a\"\ncontext = \"prod\"",
        3,
        Contradiction,
    ),
    (
        "[nats]\ncontext = \"prod\"\ncreds = \"/a\"",
        3,
        Contradiction,
    ),
    (
        "[nats]\ncontext = \"prod\"\n[nats.tls]\nca = \"/a\"",
        3,
        Contradiction,
    ),
    ("[nats]\ncontext = \"a/b\"", 2, BadValue),
    ("[nats]\nurl = \"http://a\"", 2, BadValue),
    ("[nats]\nurl = [\"nats://a\",\n\"nats://\"]", 3, BadValue),
    ("[nats]\nurl = []", 2, OutOfBounds),
    ("[nats]\nurl = \"nats://a/path\"", 2, BadValue),
    ("[nats]\nurl = \"nats://a,\"", 2, BadValue),
    ("[nats]\nurl = \"nats://u:p@a:65536\"", 2, BadValue),
    ("[nats]\nurl = \"nats://u:p@:4222\"", 2, BadValue),
    ("[nats]\nurl = 4222", 2, WrongType),
    ("[nats]\ncreds = \"\"", 2, OutOfBounds),
    ("[nats.tls]\ncert = \"/a\"", 2, MissingKey),
    ("[nats.tls]\nkey = \"/a\"", 2, MissingKey),
    ("[streams.S]\nreplicas = 3", 1, MissingKey),
    ("[streams.S]\nsubjects = []", 2, OutOfBounds),
    ("[streams.S]\nsubjects = [\"s..\"]", 2, BadValue),
    ("[streams.S]\nsubjects = [\">\"]", 2, ReservedName),
    ("[streams.S]\nsubjects = [\"s.>\",\n\"s.a\"]", 3, Overlap),
    (
        "[streams.A]\nsubjects = [\"s.>\"]\n[streams.B]\nsubjects = [\"s.a\"]",
        4,
        Overlap,
    ),
    ("[streams.WHARF-X]\nsubjects = [\"s.>\"]", 1, ReservedName),
    ("[streams.\"a b\"]\nsubjects = [\"s.>\"]", 1, BadValue),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\npartitions = 2",
        3,
        NotBuiltYet,
    ),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\npartitions = 0",
        3,
        OutOfBounds,
    ),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\nreplicas = 2",
        3,
        OutOfBounds,
    ),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\nreplicas = 7",
        3,
        OutOfBounds,
    ),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\nmax_bytes = \"1KiB\"",
        3,
        OutOfBounds,
    ),
    (
        "[streams.S]\nsubjects = [\"s.>\"]\nmax_age = \"1d\"",
        3,
        UnknownKey,
    ),
    ("[host]\nlisten = \"localhost:8080\"", 2, BadValue),
    ("[host]\nlisten = \"127.0.0.1\"", 2, BadValue),
    ("[host]\nmax_lane = 5000", 2, Contradiction),
    ("[host]\nmax_held = 10", 2, Contradiction),
    ("[host]\nmax_span = 4095", 2, Contradiction),
    ("[host]\nmax_held_bytes = \"1KiB\"", 2, OutOfBounds),
    ("[host]\nmax_hold = \"500ms\"", 2, OutOfBounds),
    ("[host]\nlease = \"2s\"", 2, OutOfBounds),
    ("[host]\ndrain = \"0s\"", 2, OutOfBounds),
];

#[test]
fn the_place_of_the_shop_is_valid() {
    let place = parse("wharf.toml", SHOP).unwrap();
    assert_eq!(place.nats.servers, Servers::Context("prod".to_owned()));
    assert_eq!(place.streams["SHOP"].subjects[0].filter(), "shop.*.*.>");
    assert_eq!(
        (
            place.streams["SHOP"].max_bytes,
            place.streams["AUDIT"].max_bytes
        ),
        (50 << 30, 10 << 30)
    );
    assert_eq!(
        (
            place.streams["AUDIT"].replicas,
            place.streams["AUDIT"].partitions
        ),
        (3, 1)
    );
}

#[test]
fn an_empty_file_is_the_default_place_on_loopback() {
    let place = parse("wharf.toml", "").unwrap();
    assert_eq!(place, Place::default());
    assert_eq!(
        place.nats.servers,
        Servers::Urls(vec![ServerUrl::loopback()])
    );
    assert_eq!(place.host.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((place.host.max_held, place.host.max_lane), (4096, 64));
    assert_eq!(
        (place.host.lease, place.host.drain),
        (Duration::from_secs(10), Duration::from_secs(25))
    );
}

#[test]
fn servers_are_a_list_or_one_text_with_commas() {
    let urls = |value: &str| match parse("wharf.toml", &format!("nats.url = {value}\n"))
        .unwrap()
        .nats
        .servers
    {
        Servers::Urls(urls) => urls
            .iter()
            .map(|url| url.as_str().to_owned())
            .collect::<Vec<_>>(),
        Servers::Context(name) => panic!("{name}"),
    };
    assert_eq!(
        urls("\"nats://a:4222, tls://b\""),
        ["nats://a:4222", "tls://b"]
    );
    assert_eq!(
        urls("[\"nats://a\", \"nats://u:p@b:1/\"]"),
        ["nats://a", "nats://u:p@b:1"]
    );
}

#[test]
fn a_password_in_an_address_is_never_printed() {
    let place = parse("wharf.toml", "nats.url = \"nats://user:hush@a:4222\"\n").unwrap();
    assert!(!format!("{place:?}").contains("hush"));
    assert_eq!(
        ServerUrl::parse("nats://user:hush@a:4222")
            .unwrap()
            .to_string(),
        "nats://***@a:4222"
    );
    let problems = parse("wharf.toml", "nats.url = \"http://user:hush@a\"\n").unwrap_err();
    assert!(!format!("{problems:?}").contains("hush"));
}

#[test]
fn each_mistake_is_found_at_its_line() {
    for (text, line, code) in MISTAKES {
        assert_eq!(found(parse("wharf.toml", text)), [(*line, *code)], "{text}");
    }
}

#[test]
fn every_key_of_the_list_is_read_and_documented() {
    for key in KEYS {
        let problems = parse("wharf.toml", &absurd(key)).unwrap_err();
        let last = key.rsplit('.').next().unwrap();
        let shape = |code| matches!(code, Code::WrongType | Code::BadValue);
        let about = problems
            .iter()
            .find(|problem| shape(problem.code) && problem.message.contains(last));
        assert!(about.is_some(), "{key}: {problems:#?}");
    }
    let document = include_str!("../../../../docs/place.md");
    let written: Vec<String> = documented(document);
    let unique: BTreeSet<String> = written
        .iter()
        .filter(|key| !key.starts_with("needs."))
        .cloned()
        .collect();
    assert_eq!(unique, KEYS.iter().map(|key| (*key).to_owned()).collect());
    assert_eq!(
        written.len(),
        KEYS.len() + crate::needs::KEYS.len(),
        "a key stands twice"
    );
}

#[test]
fn no_mutation_of_a_file_makes_the_parser_panic() {
    let mut rng = Rng::new(9);
    let valid = (0..4000)
        .filter(|_| parse("wharf.toml", &mutated(SHOP, &mut rng)).is_ok())
        .count();
    assert!((50..3950).contains(&valid), "{valid}");
}

use std::collections::BTreeSet;

use super::{Error, KEYS, Secretive, parse};
use crate::config::Code;
use crate::config::testing::{Rng, absurd, documented, found, mutated};

const GOOD: &str = r#"
[needs.gateway]
url = "https://payments.example.com/v2/"
auth = { header = "Authorization", value = "Bearer ${secret:GATEWAY_TOKEN}" }
max_in_flight = 20
[needs.mail]
url = "http://[::1]:8025"
"#;

const BREAKER: &str = r#"
[needs.gateway.breaker]
failure_share = 0.5
min_calls = 20
window = "10s"
consecutive = 10
slow_call = "2s"
slow_share = 0.8
open = "15s"
probes = 3
ramp = "30s"
"#;

#[test]
fn needs_have_an_address_and_a_credential_that_the_edge_completes() {
    let needs = parse("needs.toml", GOOD).unwrap();
    let gateway = &needs["gateway"];
    assert_eq!(gateway.url.as_str(), "https://payments.example.com/v2");
    assert_eq!(gateway.max_in_flight, 20);
    let auth = gateway.auth.as_ref().unwrap();
    assert_eq!(auth.header, "authorization");
    assert_eq!(auth.value.secrets().collect::<Vec<_>>(), ["GATEWAY_TOKEN"]);
    let known = |name: &str| (name == "GATEWAY_TOKEN").then(|| "s3cret".to_owned());
    assert_eq!(auth.value.resolve(known).unwrap(), "Bearer s3cret");
    assert_eq!(
        (needs["mail"].max_in_flight, &needs["mail"].auth),
        (200, &None)
    );
}

#[test]
fn an_empty_file_has_no_needs() {
    assert!(parse("needs.toml", "").unwrap().is_empty());
}

#[test]
fn a_secret_that_is_missing_or_breaks_the_header_is_refused() {
    let value = Secretive::parse("a ${secret:X} b ${secret:Y}").unwrap();
    assert_eq!(value.secrets().collect::<Vec<_>>(), ["X", "Y"]);
    let only_x = |name: &str| (name == "X").then(|| "1".to_owned());
    assert_eq!(
        value.resolve(only_x),
        Err(Error::MissingSecret {
            name: "Y".to_owned()
        })
    );
    assert_eq!(
        value.resolve(|_| Some("1\r\nx: 2".to_owned())),
        Err(Error::NotAHeaderValue)
    );
    assert_eq!(
        Secretive::parse("${secret:X}")
            .unwrap()
            .resolve(|_| Some(String::new())),
        Err(Error::NotAHeaderValue)
    );
}

#[test]
fn nothing_of_a_credential_is_printed_but_the_names_of_its_secrets() {
    let value = Secretive::parse("Basic dXNlcg== ${secret:NAME}").unwrap();
    let printed = format!("{value:?}");
    assert!(
        printed.contains("NAME") && !printed.contains("dXNlcg"),
        "{printed}"
    );
    let bad =
        "needs.a = { url = \"http://a\", auth = { header = \"x\", value = \"hush ${secret}\" } }";
    let problems = parse("needs.toml", bad).unwrap_err();
    assert!(!format!("{problems:?}").contains("hush"));
}

#[test]
fn a_breaker_is_reported_as_not_built_yet_and_its_values_are_checked() {
    let text = format!("{GOOD}{BREAKER}");
    let line = u32::try_from(GOOD.lines().count()).unwrap() + 2;
    assert_eq!(
        found(parse("needs.toml", &text)),
        [(line, Code::NotBuiltYet)]
    );
    let text = text.replace("\"10s\"", "\"10\"");
    assert_eq!(
        found(parse("needs.toml", &text)),
        [(line, Code::NotBuiltYet), (line + 3, Code::BadValue)]
    );
}

#[test]
fn each_mistake_is_found_at_its_line() {
    use Code::*;
    let url = "url = \"http://a\"";
    let cases: &[(String, u32, Code)] = &[
        ("url = \"http://a\"".to_owned(), 2, UnknownKey),
        ("needs.a = { max_in_flight = 3 }".to_owned(), 2, MissingKey),
        ("needs.a.url = 3".to_owned(), 2, WrongType),
        ("needs.A = { url = \"http://a\" }".to_owned(), 2, BadValue),
        (
            format!("[needs.a]\n{url}\nmax_in_flight = 0"),
            4,
            OutOfBounds,
        ),
        (
            format!("[needs.a]\n{url}\nauth.header = \"x\""),
            4,
            MissingKey,
        ),
        (
            format!("[needs.a]\n{url}\nauth.value = \"x\""),
            4,
            MissingKey,
        ),
        (format!("[needs.a]\n{url}\nauth = \"x\""), 4, WrongType),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"host\", value = \"x\" }}"),
            4,
            ReservedName,
        ),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"a b\", value = \"x\" }}"),
            4,
            BadValue,
        ),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"a\", value = \"${{secret:\" }}"),
            4,
            BadValue,
        ),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"a\", value = \"${{env:X}}\" }}"),
            4,
            BadValue,
        ),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"a\", value = \"x\\ny\" }}"),
            4,
            BadValue,
        ),
        (
            format!("[needs.a]\n{url}\nauth = {{ header = \"a\", vale = \"x\", value = \"y\" }}"),
            4,
            UnknownKey,
        ),
    ];
    for (text, line, code) in cases {
        let codes = found(parse("needs.toml", &format!("\n{text}\n")));
        // A name that fails still has its value read.
        assert_eq!(codes, [(*line, *code)], "{text}");
    }
}

#[test]
fn addresses_are_plain_http_urls() {
    let with = |url: &str| parse("needs.toml", &format!("needs.a.url = {url:?}\n"));
    for good in [
        "http://a",
        "https://a.example.com:8443/x/y",
        "http://127.0.0.1:1",
        "http://[::1]/",
    ] {
        assert!(with(good).is_ok(), "{good}");
    }
    let bad = [
        "a",
        "//a",
        "/a",
        "ftp://a",
        "http://",
        "http://:80",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:x",
        "http://user@a",
        "http://user:pass@a",
        "http://a?x=1",
        "http://a/#x",
        "http://a b",
        "http://a\nb",
        "https:a",
    ];
    for url in bad {
        assert_eq!(found(with(url)), [(1, Code::BadValue)], "{url}");
    }
}

#[test]
fn every_key_of_the_list_is_read_and_documented() {
    for key in KEYS {
        let problems = parse("needs.toml", &absurd(key)).unwrap_err();
        let last = key.rsplit('.').next().unwrap();
        let about = problems
            .iter()
            .find(|problem| problem.code == Code::WrongType && problem.message.contains(last));
        assert!(about.is_some(), "{key}: {problems:#?}");
    }
    let document = include_str!("../../../../docs/place.md");
    let written: BTreeSet<String> = documented(document)
        .into_iter()
        .filter(|key| key.starts_with("needs."))
        .collect();
    assert_eq!(written, KEYS.iter().map(|key| (*key).to_owned()).collect());
}

#[test]
fn no_mutation_of_a_file_makes_the_parser_panic() {
    let mut rng = Rng::new(5);
    let text = format!("{GOOD}{BREAKER}");
    let valid = (0..4000)
        .filter(|_| parse("needs.toml", &mutated(&text, &mut rng)).is_ok())
        .count();
    let plain = (0..4000)
        .filter(|_| parse("needs.toml", &mutated(GOOD, &mut rng)).is_ok())
        .count();
    assert!(
        valid < plain && (50..3950).contains(&plain),
        "{valid} {plain}"
    );
}

#[test]
fn a_need_survives_being_written() {
    let file = r#"
[needs.gateway]
url = "https://pay.example.com/v2"
auth = { header = "Authorization", value = "Bearer ${secret:TOKEN}" }
max_in_flight = 7

[needs.mail]
url = "http://127.0.0.1:8090"
"#;
    let needs = parse("needs.toml", file).expect("valid");
    for (name, need) in &needs {
        let written = super::text(name, need);
        let again = parse("need", &written).unwrap_or_else(|e| panic!("{written}: {e:?}"));
        assert_eq!(again.get(name), Some(need), "{written}");
    }
}

use super::{Error, KEY_BYTES_MAX, KeyRule, KeyTemplate, Pattern, SUBJECT_BYTES_MAX, Template};
use crate::config::testing::Rng;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

#[test]
fn a_pattern_matches_whole_subjects_only() {
    let cases = [
        ("shop.order.{order}.placed", "shop.order.ORD-1.placed", true),
        (
            "shop.order.{order}.placed",
            "shop.order.ORD-1.placed.twice",
            false,
        ),
        ("shop.order.{order}.placed", "shop.order.placed", false),
        ("shop.*.{id}.*", "shop.order.1.placed", true),
        ("shop.>", "shop.order.1.placed", true),
        ("shop.>", "shop", false),
        (">", "shop", true),
        ("shop", "shop", true),
        ("shop", "Shop", false),
    ];
    for (text, subject, expected) in cases {
        assert_eq!(
            pattern(text).matches(subject).is_some(),
            expected,
            "{text} {subject}"
        );
    }
}

#[test]
fn captures_are_the_tokens_at_their_places() {
    let pattern = pattern("shop.{aggregate}.{id}.>");
    let captures = pattern.matches("shop.order.a%2Eb.placed").unwrap();
    assert_eq!(captures.raw("aggregate"), Some("order"));
    assert_eq!(captures.raw("id"), Some("a%2Eb"));
    assert_eq!(captures.decoded("id").unwrap(), "a.b");
    assert_eq!(
        captures.decoded("other"),
        Err(Error::NoCapture {
            name: "other".to_owned()
        })
    );
    assert_eq!(pattern.filter(), "shop.*.*.>");
    assert_eq!(pattern.to_string(), "shop.{aggregate}.{id}.>");
    assert_eq!(pattern.captures().collect::<Vec<_>>(), ["aggregate", "id"]);
}

#[test]
fn texts_that_are_no_patterns_are_refused() {
    let long = "a".repeat(256);
    let bad = [
        "",
        ".",
        "a..b",
        "a.",
        ".a",
        "a.>.b",
        "a.b*",
        "a.*b",
        "a.>b",
        "a b.c",
        "a.\tb",
        "a.{b",
        "a.b}",
        "a.x{b}",
        "a.{}",
        "a.{B}",
        "a.{1b}",
        "a.{b}.{b}",
        "a.{>}",
        "a.\u{0}",
        &long,
    ];
    for text in bad {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
    assert!(Pattern::parse(&long[1..]).is_ok());
}

#[test]
fn tokens_that_are_not_canonical_escapes_are_refused_when_decoded() {
    let pattern = pattern("s.{k}");
    for (token, expected) in [
        (
            "50%",
            Error::BadEscape {
                token: "50%".to_owned(),
            },
        ),
        (
            "%4",
            Error::BadEscape {
                token: "%4".to_owned(),
            },
        ),
        (
            "%zz",
            Error::BadEscape {
                token: "%zz".to_owned(),
            },
        ),
        (
            "%ff",
            Error::NotUtf8 {
                token: "%ff".to_owned(),
            },
        ),
    ] {
        let subject = format!("s.{token}");
        assert_eq!(
            pattern.matches(&subject).unwrap().decoded("k"),
            Err(expected)
        );
    }
}

#[test]
fn a_key_survives_the_way_through_a_subject() {
    let template = Template::parse("shop.inventory.{key}.reserve").unwrap();
    let subscription = pattern("shop.*.{sku}.reserve");
    let longest = "\u{7f}".repeat(KEY_BYTES_MAX);
    let mut keys: Vec<String> = [
        "*",
        ">",
        "a.b",
        " ",
        "%",
        "%41",
        "order/ORD-1",
        "für \u{1F600}",
        "\u{0}",
        "{key}",
        "$SYS",
        "\r\n",
        &longest,
    ]
    .map(str::to_owned)
    .to_vec();
    let mut rng = Rng::new(7);
    keys.extend((0..2000).map(|_| random_key(&mut rng)));
    for key in keys {
        let subject = template.subject_for(&key).unwrap();
        assert!(subject.len() <= SUBJECT_BYTES_MAX);
        assert_eq!(subject.split('.').count(), 4, "{subject}");
        let token = subject.split('.').nth(2).unwrap();
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_/-%".contains(&b)),
            "{subject}"
        );
        assert_eq!(
            subscription
                .matches(&subject)
                .unwrap()
                .decoded("sku")
                .unwrap(),
            key
        );
        assert!(template.pattern().matches(&subject).is_some());
    }
}

fn random_key(rng: &mut Rng) -> String {
    const ALPHABET: [char; 14] = [
        'a', 'Z', '0', '_', '-', '/', '%', '.', '*', '>', ' ', 'é', '𝄞', '\n',
    ];
    let mut key: String = (0..=rng.below(80))
        .map(|_| ALPHABET[rng.below(ALPHABET.len())])
        .collect();
    key.truncate(key.floor_char_boundary(KEY_BYTES_MAX));
    key
}

#[test]
fn plain_keys_stay_readable_in_subjects() {
    let template = Template::parse("audit.{key}.appended").unwrap();
    assert_eq!(
        template.subject_for("order/ORD-7781_b").unwrap(),
        "audit.order/ORD-7781_b.appended"
    );
    assert_eq!(template.subject_for("a.b").unwrap(), "audit.a%2Eb.appended");
}

#[test]
fn keys_outside_their_length_have_no_subject() {
    let template = Template::parse("audit.{key}.appended").unwrap();
    assert_eq!(template.subject_for(""), Err(Error::KeyLength { bytes: 0 }));
    assert_eq!(
        template.subject_for(&"k".repeat(257)),
        Err(Error::KeyLength { bytes: 257 })
    );
}

#[test]
fn a_template_has_its_key_once_as_a_whole_token_and_nothing_open() {
    for text in [
        "",
        "a.b",
        "a.{key}.{key}",
        "a.x{key}",
        "a.{key}x.{key}",
        "a.{id}",
        "a.*.{key}",
        "{key}.>",
        "a..{key}",
        "a.{key}.",
    ] {
        assert!(Template::parse(text).is_err(), "{text:?}");
    }
    assert!(Template::parse("{key}").is_ok());
}

#[test]
fn overlap_and_cover_agree_with_matching() {
    let cases = [
        ("a.b", "a.b", true, true),
        ("a.*", "a.b", true, true),
        ("a.b", "a.*", true, false),
        ("a.{x}.c", "a.b.*", true, false),
        ("a.>", "a.b.c", true, true),
        ("a.>", "a", false, false),
        ("a.>", "a.*.>", true, true),
        ("a.*.>", "a.>", true, false),
        ("a.*", "a.>", true, false),
        (">", "a", true, true),
        ("a.*", "a.b.c", false, false),
        ("a.*.c", "a.b.d", false, false),
        ("*.b", "a.*", true, false),
        ("{x}.{y}", "*.*", true, true),
    ];
    for (left, right, overlaps, covers) in cases {
        assert_eq!(
            pattern(left).overlaps(&pattern(right)),
            overlaps,
            "{left} {right}"
        );
        assert_eq!(
            pattern(right).overlaps(&pattern(left)),
            overlaps,
            "{right} {left}"
        );
        assert_eq!(
            pattern(left).covers(&pattern(right)),
            covers,
            "{left} {right}"
        );
    }
}

/// Over a small alphabet every subject can be tried: the definitions themselves.
/// A token and a length that no pattern names stand for all others.
#[test]
fn overlap_and_cover_hold_for_every_short_subject() {
    let subjects = texts(&["a", "b", "c"], 4);
    let patterns: Vec<Pattern> = texts(&["a", "b", "*", ">"], 3)
        .iter()
        .filter_map(|text| Pattern::parse(text).ok())
        .collect();
    assert_eq!((subjects.len(), patterns.len()), (120, 52));
    for left in &patterns {
        for right in &patterns {
            let pairs = subjects
                .iter()
                .map(|s| (left.matches(s).is_some(), right.matches(s).is_some()));
            let pairs: Vec<(bool, bool)> = pairs.collect();
            assert_eq!(
                left.overlaps(right),
                pairs.contains(&(true, true)),
                "{left} {right}"
            );
            assert_eq!(
                left.covers(right),
                !pairs.contains(&(false, true)),
                "{left} {right}"
            );
        }
    }
}

/// All texts of 1 to `most` tokens.
fn texts(tokens: &[&str], most: usize) -> Vec<String> {
    let mut all: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
    let mut longest = all.clone();
    for _ in 1..most {
        longest = longest
            .iter()
            .flat_map(|head| tokens.iter().map(move |tail| format!("{head}.{tail}")))
            .collect();
        all.extend_from_slice(&longest);
    }
    all
}

#[test]
fn subjects_of_the_broker_and_of_the_host_are_reserved() {
    for text in [
        "$JS.API.>",
        "$SYS.a",
        "wl.order-1.r.x",
        "wt.{a}",
        "_INBOX.>",
        "*.a",
        ">",
        "{a}.b",
    ] {
        assert!(pattern(text).is_reserved(), "{text}");
    }
    for text in ["shop.>", "wlx.a", "a.$JS"] {
        assert!(!pattern(text).is_reserved(), "{text}");
    }
}

#[test]
fn key_rules_come_in_four_forms() {
    for text in [
        "{order}",
        "{aggregate}/{id}",
        "x-{id}",
        "data:/order/id",
        "header:Order-Id",
        "attribute:orderid",
    ] {
        let rule = KeyRule::parse(text).unwrap();
        assert_eq!(rule.to_string().to_lowercase(), text.to_lowercase());
    }
    assert_eq!(
        KeyRule::parse("header:Order-Id").unwrap(),
        KeyRule::Header("order-id".to_owned())
    );
}

#[test]
fn texts_that_are_no_key_rules_are_refused() {
    let bad = [
        "",
        "order",
        "{order",
        "order}",
        "{Order}",
        "{a}{b}",
        "{a}-{b}",
        "data:",
        "data:order",
        "data:/a~2",
        "header:",
        "header:a b",
        "header:ce-id",
        "header:Traceparent",
        "attribute:Order",
        "attribute:",
        "attribute:id",
        "{a}}",
    ];
    for text in bad {
        assert!(KeyRule::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn two_lists_of_tokens_never_make_one_key() {
    let pattern = pattern("s.{a}.{b}");
    let template = KeyTemplate::parse("{a}/{b}").unwrap();
    let key = |subject: &str| template.key_of(&pattern.matches(subject).unwrap()).unwrap();
    assert_eq!(key("s.order.1"), "order/1");
    assert_eq!(key("s.order.1/2"), "order/1/2");
    assert_eq!(key("s.order/1.2"), "order%2F1/2");
    assert_ne!(key("s.x%252F1.2"), key("s.x%2F1.2"));
}

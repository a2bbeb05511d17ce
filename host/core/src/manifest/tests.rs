mod cases;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{
    Delivery, InstancePolicy, KEYS, LabelBound, Manifest, MetricKind, OnDead, OnUnknown, Ordering,
    Start, parse, read,
};
use crate::config::testing::{Rng, absurd, documented, found, mutated};
use crate::config::{Code, Problem};
use crate::limits::Limits;

const SHOP: &[(&str, &str)] = &[
    (
        "audit",
        include_str!("../../../../handlers/audit/handler.toml"),
    ),
    (
        "inventory",
        include_str!("../../../../handlers/inventory/handler.toml"),
    ),
    (
        "notification",
        include_str!("../../../../handlers/notification/handler.toml"),
    ),
    (
        "order",
        include_str!("../../../../handlers/order/handler.toml"),
    ),
    (
        "payment",
        include_str!("../../../../handlers/payment/handler.toml"),
    ),
];

/// Three lines that are a whole manifest; what a test adds begins at line 4.
const KEYED: &str =
    "name = \"x\"\nstream = \"S\"\non = [{ subjects = [\"s.{k}.a\"], key = \"{k}\" }]\n";
const UNORDERED: &str = "name = \"x\"\nstream = \"S\"\non = [{ subjects = [\"s.*.a\"] }]\n";

fn keyed(more: &str) -> Result<Manifest, Vec<Problem>> {
    parse("handler.toml", &format!("{KEYED}{more}"))
}

fn unordered(more: &str) -> Result<Manifest, Vec<Problem>> {
    parse("handler.toml", &format!("{UNORDERED}{more}"))
}

#[test]
fn the_manifests_of_the_shop_are_valid() {
    for (name, text) in SHOP {
        let manifest = parse(name, text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(manifest.name, *name);
    }
}

#[test]
fn the_smallest_manifest_has_every_default() {
    let manifest = keyed("").unwrap();
    assert_eq!(manifest.ordering, Ordering::Key);
    assert_eq!(
        (manifest.on_dead, manifest.delivery),
        (OnDead::Block, Delivery::EffectOnce)
    );
    assert_eq!(
        (manifest.instance, manifest.start),
        (InstancePolicy::Fresh, Start::New)
    );
    assert_eq!(manifest.max_in_flight, 256);
    assert_eq!(manifest.limits, Limits::default());
    assert_eq!(
        (manifest.dedup.remember, manifest.dedup.keep_for),
        (32, Duration::from_hours(24))
    );
    assert_eq!(
        (manifest.retry.max_attempts, manifest.retry.cap),
        (8, Duration::from_mins(5))
    );
    assert!(manifest.state.is_none() && manifest.emits.is_empty() && manifest.needs.is_empty());
    assert_eq!(unordered("").unwrap().ordering, Ordering::None);
    assert_eq!(
        unordered("").unwrap().dedup.keep_for,
        Duration::from_mins(2)
    );
}

#[test]
fn what_the_file_says_is_what_the_manifest_holds() {
    let text = r#"
        description = "d"
        start = 1200
        on_dead = "continue"
        instance = "reuse"
        timers = ["t-1", "t-2"]
        headers = ["X-Tenant"]
        state = { version = 2, ttl = "90d", content_type = "text/plain; charset=utf-8" }
        emits = { "x.done" = "s.{key}.done" }
        retry = { max_attempts = 3, initial = "1s", factor = 1.5, cap = "10s" }
        limits = { time = "2s", memory = "1GiB", emits = 1024 }
        needs.gateway = { timeout = "1s", failure_status = [503, "4xx"], idempotency_header = "Idempotency-Key" }
        needs.mail = { timeout = "1999ms", required = false }
        metrics.m_seconds = { kind = "histogram", help = "h", buckets = [0.1, 1, 3], labels = { a = ["x", "y"], b = 5 } }
        config = { from = { default = "a@b" }, to = { required = true } }
        secrets.token = {}
    "#;
    let manifest = keyed(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(
        (manifest.start, manifest.on_dead),
        (Start::Sequence(1200), OnDead::Continue)
    );
    assert_eq!(manifest.headers, ["x-tenant"]);
    let state = manifest.state.unwrap();
    assert_eq!(
        (state.version, state.ttl),
        (2, Some(Duration::from_hours(24 * 90)))
    );
    assert_eq!(manifest.emits["x.done"].to_string(), "s.{key}.done");
    assert_eq!(
        (manifest.retry.factor, manifest.limits.memory_bytes),
        (1.5, 1 << 30)
    );
    assert_eq!(manifest.limits.cpu_time, Duration::from_secs(1));
    let gateway = &manifest.needs["gateway"];
    assert_eq!(gateway.failure_status.0, [(400, 499), (503, 503)]);
    assert_eq!(
        (gateway.idempotency_header.as_deref(), gateway.on_unknown),
        (Some("idempotency-key"), OnUnknown::Retry)
    );
    assert_eq!(
        (
            manifest.needs["mail"].required,
            manifest.needs["mail"].on_unknown
        ),
        (false, OnUnknown::Park)
    );
    let metric = &manifest.metrics["m_seconds"];
    assert_eq!(
        metric.kind,
        MetricKind::Histogram {
            buckets: vec![0.1, 1.0, 3.0]
        }
    );
    assert_eq!(metric.labels["b"], LabelBound::AtMost(5));
    assert!(manifest.config["to"].required && manifest.secrets["token"].required);
}

#[test]
fn the_default_cpu_time_is_never_more_than_the_time() {
    let manifest = keyed("limits.time = \"500ms\"\n").unwrap();
    assert_eq!(manifest.limits.cpu_time, Duration::from_millis(500));
}

#[test]
fn at_least_once_defaults_to_one_emission() {
    let manifest = unordered("delivery = \"at-least-once\"\nemits.a = \"s.{key}.b\"\n").unwrap();
    assert_eq!(manifest.limits.emits, 1);
}

#[test]
fn an_empty_list_of_timers_is_the_default_and_contradicts_nothing() {
    assert_eq!(unordered("timers = []\n"), unordered(""));
}

#[test]
fn start_takes_four_forms() {
    let start = |value: &str| keyed(&format!("start = {value}\n")).map(|manifest| manifest.start);
    assert_eq!(start("\"new\""), Ok(Start::New));
    assert_eq!(start("\"all\""), Ok(Start::All));
    assert_eq!(start("\"1970-01-01T00:00:01Z\""), Ok(Start::TimeMs(1000)));
    assert_eq!(start("1970-01-01T00:00:01Z"), Ok(Start::TimeMs(1000)));
    for bad in [
        "\"old\"",
        "\"2026-02-30T00:00:00Z\"",
        "true",
        "[1]",
        "\"12\"",
    ] {
        assert_eq!(found(start(bad)), [(4, Code::BadValue)], "{bad}");
    }
    assert_eq!(found(start("0")), [(4, Code::OutOfBounds)]);
}

#[test]
fn each_mistake_in_an_ordered_manifest_is_found_at_its_line() {
    for (more, line, code) in cases::ORDERED {
        assert_eq!(found(keyed(more)), [(*line, *code)], "{more}");
    }
}

#[test]
fn each_mistake_in_an_unordered_manifest_is_found_at_its_line() {
    for (more, line, code) in cases::UNORDERED {
        assert_eq!(found(unordered(more)), [(*line, *code)], "{more}");
    }
}

#[test]
fn each_mistake_in_subscriptions_is_found_at_its_line() {
    for (on, line, code) in cases::SUBSCRIPTIONS {
        let text = format!("name = \"x\"\nstream = \"S\"\n{on}\n");
        let codes = found(parse("handler.toml", &text));
        let first = codes.first().copied();
        let twice = *code == Code::Duplicate && codes.get(1) == Some(&(*line, Code::Overlap));
        assert_eq!(first, Some((*line, *code)), "{on}\n{codes:?}");
        assert!(codes.len() == 1 || twice, "{on}\n{codes:?}");
    }
}

#[test]
fn names_that_are_required_or_reserved_are_reported() {
    let on = "on = [{ subjects = [\"s.a\"] }]\n";
    let cases = [
        ("stream = \"S\"\n", 1, Code::MissingKey),
        ("name = \"x\"\n", 1, Code::MissingKey),
        ("name = \"Order\"\nstream = \"S\"\n", 1, Code::BadValue),
        ("name = \"1a\"\nstream = \"S\"\n", 1, Code::BadValue),
        ("name = \"x\"\nstream = \"S.T\"\n", 2, Code::BadValue),
        (
            "name = \"x\"\nstream = \"WHARF-L-order-1\"\n",
            2,
            Code::ReservedName,
        ),
        (
            "name = \"x\"\nstream = \"KV_WHARF\"\n",
            2,
            Code::ReservedName,
        ),
    ];
    for (head, line, code) in cases {
        assert_eq!(
            found(parse("handler.toml", &format!("{head}{on}"))),
            [(line, code)],
            "{head}"
        );
    }
    let longest = format!("name = \"a{}\"\nstream = \"S\"\n{on}", "b".repeat(62));
    assert!(parse("handler.toml", &longest).is_ok());
    assert_eq!(
        found(parse("handler.toml", &longest.replace("ab", "abb"))),
        [(1, Code::BadValue)]
    );
}

#[test]
fn a_file_with_ten_mistakes_reports_ten() {
    let text = "\
name = \"Order\"
stream = \"SHOP\"
odering = \"key\"
max_in_flight = 0
timers = [\"a\", \"a\"]
[[on]]
subjects = [\"shop.{order}.placed\"]
key = \"{sku}\"
[emits]
\"wharf.x\" = \"shop.{key}.x\"
\"y\" = \"shop.y\"
[guard]
window = \"1m\"
[limits]
time = 30
[needs.gateway]
idempotency_ttl = \"1h\"
";
    let expected = [
        (1, Code::BadValue),
        (3, Code::UnknownKey),
        (4, Code::OutOfBounds),
        (5, Code::Duplicate),
        (7, Code::MissingCapture),
        (10, Code::ReservedName),
        (11, Code::BadValue),
        (12, Code::NotBuiltYet),
        (15, Code::WrongType),
        (17, Code::NoEffect),
    ];
    assert_eq!(found(parse("handler.toml", text)), expected);
}

#[test]
fn every_key_of_the_list_is_read() {
    for key in KEYS {
        let absurd = match key.strip_prefix("on.") {
            Some(inner) => format!("on = [{{ {inner} = [[]] }}]\n"),
            None => absurd(key),
        };
        let root = absurd.split([' ', '.']).next().unwrap();
        let mut text: String = KEYED
            .lines()
            .filter(|line| !line.starts_with(root))
            .collect::<Vec<_>>()
            .join("\n");
        text.push('\n');
        text.push_str(&absurd);
        let problems = parse("handler.toml", &text).unwrap_err();
        let shape = |code| matches!(code, Code::WrongType | Code::BadValue);
        let about = problems.iter().find(|problem| shape(problem.code));
        let message = &about
            .unwrap_or_else(|| panic!("{key}: {problems:#?}"))
            .message;
        let last = key.rsplit('.').next().unwrap();
        assert!(
            last.len() == 1 || message.contains(last),
            "{key}: {message}"
        );
    }
}

#[test]
fn the_document_lists_the_keys_that_the_parser_knows() {
    let document = include_str!("../../../../docs/manifest.md");
    let written: Vec<String> = documented(document);
    let unique: BTreeSet<&str> = written.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), written.len(), "a key stands twice");
    assert_eq!(unique, KEYS.iter().copied().collect());
}

#[test]
fn no_mutation_of_a_manifest_makes_the_parser_panic() {
    let mut rng = Rng::new(3);
    let mut valid = 0;
    for round in 0..6000 {
        let (_, text) = SHOP[round % SHOP.len()];
        match read("handler.toml", &mutated(text, &mut rng)) {
            Ok(manifest) => valid += usize::from(manifest.nearest(&["name"]).line > 0),
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
    assert!(
        (100..5900).contains(&valid),
        "mutations are too tame or too wild: {valid} are valid"
    );
}

use super::{Files, check, too_large};
use crate::config::{Code, Located, Problem};
use crate::manifest::{self, Manifest};
use crate::needs::{self, Needs};
use crate::place::{self, Place};

const PLACE: &str = "\
[streams.SHOP]
subjects = [\"shop.{aggregate}.{id}.>\"]
[streams.AUDIT]
subjects = [\"audit.>\"]
";
const NEEDS: &str = "\
needs.gateway = { url = \"http://127.0.0.1:1\", auth = { header = \"x-key\", value = \"${secret:K}\" } }
needs.mail = { url = \"http://127.0.0.1:2\" }
";
const SHOP: &[(&str, &str)] = &[
    (
        "audit.toml",
        include_str!("../../../../handlers/audit/handler.toml"),
    ),
    (
        "inventory.toml",
        include_str!("../../../../handlers/inventory/handler.toml"),
    ),
    (
        "notification.toml",
        include_str!("../../../../handlers/notification/handler.toml"),
    ),
    (
        "order.toml",
        include_str!("../../../../handlers/order/handler.toml"),
    ),
    (
        "payment.toml",
        include_str!("../../../../handlers/payment/handler.toml"),
    ),
];

fn manifest(file: &str, text: &str) -> Located<Manifest> {
    manifest::read(file, text).unwrap_or_else(|problems| panic!("{file}: {problems:#?}"))
}

/// Five lines that read one subject of SHOP; what a test adds begins at line 6.
fn handler(more: &str) -> Located<Manifest> {
    let base = "name = \"x\"\nstream = \"SHOP\"\n[[on]]\nsubjects = [\"shop.order.{k}.placed\"]\nkey = \"{k}\"\n";
    manifest("x.toml", &format!("{base}{more}"))
}

fn place() -> Located<Place> {
    place::read("wharf.toml", PLACE).unwrap()
}

fn needs() -> Located<Needs> {
    needs::read("needs.toml", NEEDS).unwrap()
}

fn found(manifests: &[Located<Manifest>]) -> Vec<(String, u32, Code)> {
    let (place, needs) = (place(), needs());
    located(check(Files {
        manifests,
        needs: Some(&needs),
        place: Some(&place),
    }))
}

/// All problems with a broker of this limit.
fn found_on(manifests: &[Located<Manifest>], max_payload_bytes: u64) -> Vec<(String, u32, Code)> {
    let mut found = found(manifests);
    found.extend(located(too_large(manifests, max_payload_bytes)));
    found
}

fn located(problems: Vec<Problem>) -> Vec<(String, u32, Code)> {
    problems
        .into_iter()
        .map(|problem| (problem.file, problem.line, problem.code))
        .collect()
}

fn at(file: &str, line: u32, code: Code) -> (String, u32, Code) {
    (file.to_owned(), line, code)
}

#[test]
fn the_shop_fits_together_on_a_broker_with_the_usual_limit() {
    let manifests: Vec<_> = SHOP
        .iter()
        .map(|(file, text)| manifest(file, text))
        .collect();
    assert_eq!(found_on(&manifests, 1 << 20), []);
}

#[test]
fn each_rule_names_its_file_and_line() {
    use Code::*;
    let cases = [
        ("[emits]\na = \"shop.order.{key}.paid\"", None),
        (
            "[emits]\na = \"mail.{key}.sent\"",
            Some((7, UncoveredEmission)),
        ),
        (
            "[emits]\na = \"audit.{key}.x\"\nb = \"audits.{key}\"",
            Some((8, UncoveredEmission)),
        ),
        ("[emits]\na = \"shop.{key}\"", Some((7, UncoveredEmission))),
        (
            "[emits]\na = \"shop.order.{key}.placed\"",
            Some((7, SelfEmission)),
        ),
        (
            "types = [\"b\"]\n[emits]\na = \"shop.order.{key}.placed\"",
            None,
        ),
        (
            "types = [\"a\"]\n[emits]\na = \"shop.order.{key}.placed\"",
            Some((8, SelfEmission)),
        ),
        (
            "[[on]]\nsubjects = [\"shop.cart.{k}.filled\",\n\"carts.{k}\"]\nkey = \"{k}\"",
            Some((8, UncoveredSubscription)),
        ),
        (
            "[[on]]\nsubjects = [\"audit.{k}.x\"]\nkey = \"{k}\"",
            Some((7, UncoveredSubscription)),
        ),
        ("[needs.gateway]", None),
        ("[needs.gateways]", Some((6, UnknownNeed))),
        (
            "[needs.gateway]\nidempotency_header = \"X-Key\"",
            Some((7, Contradiction)),
        ),
    ];
    for (more, expected) in cases {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(line, code)| at("x.toml", line, code))
            .collect();
        assert_eq!(found(&[handler(more)]), expected, "{more}");
    }
}

#[test]
fn a_stream_that_the_place_does_not_have_is_reported() {
    let text = "name = \"x\"\nstream = \"SHOPS\"\non = [{ subjects = [\"shop.a\"] }]\n";
    assert_eq!(
        found(&[manifest("x.toml", text)]),
        [at("x.toml", 2, Code::UnknownStream)]
    );
}

#[test]
fn two_handlers_of_one_name_are_reported_at_the_second_with_the_place_of_the_first() {
    let (first, mut second) = (handler(""), handler(""));
    second.file = "y.toml".to_owned();
    let manifests = [first, second];
    assert_eq!(found(&manifests), [at("y.toml", 1, Code::DuplicateHandler)]);
    let problems = check(Files {
        manifests: &manifests,
        needs: None,
        place: None,
    });
    assert!(problems[0].message.contains("x.toml:1"), "{}", problems[0]);
}

#[test]
fn state_and_emissions_must_fit_into_one_message_of_the_broker() {
    let sized = |state: &str, emit: &str, max: u64| {
        let more = format!(
            "[state]\n[emits]\na = \"shop.order.{{key}}.paid\"\n[limits]\nemit_bytes = \"{emit}\"\nstate_bytes = \"{state}\"\n"
        );
        found_on(&[handler(&more)], max)
    };
    let mib = 1 << 20;
    assert_eq!(sized("512KiB", "384KiB", mib), []);
    assert_eq!(
        sized("512KiB", "393217B", mib),
        [at("x.toml", 11, Code::RecordTooLarge)]
    );
    assert_eq!(
        sized("64KiB", "64KiB", 1000),
        [at("x.toml", 11, Code::RecordTooLarge)]
    );
    assert_eq!(sized("64MiB", "64MiB", 192 * mib), []);
}

#[test]
fn only_what_a_handler_uses_counts_against_the_message() {
    let max = 128 << 10;
    assert_eq!(found_on(&[handler("")], max), []);
    assert_eq!(
        found_on(&[handler("[state]\n")], max),
        [at("x.toml", 1, Code::RecordTooLarge)]
    );
}

#[test]
fn a_stream_takes_three_hundred_handlers_and_no_more() {
    let many = |count: usize| -> Vec<Located<Manifest>> {
        let mut manifests = vec![handler(""); count];
        for (n, manifest) in manifests.iter_mut().enumerate() {
            manifest.value.name = format!("x-{n}");
        }
        manifests
    };
    assert_eq!(found(&many(300)), []);
    assert_eq!(
        found(&many(301)),
        [at("wharf.toml", 1, Code::TooManyReaders)]
    );
}

#[test]
fn rules_without_their_facts_say_nothing() {
    let manifests = [handler("[needs.nowhere]\n[emits]\na = \"nowhere.{key}\"\n")];
    let files = Files {
        manifests: &manifests,
        needs: None,
        place: None,
    };
    assert_eq!(check(files), []);
}

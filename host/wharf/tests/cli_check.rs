//! `wharf check`: every problem at once, with file, line, code and remedy.

mod cli_support;

use std::collections::BTreeSet;

use cli_support::{MAIL, ORDER, Place, repository};
use serde_json::Value;

/// Each line with a number in its comment is wrong.
const TEN_MISTAKES: &str = r#"name = "Order"                # 1
stream = "KV_ORDERS"          # 2
orderng = "key"               # 3
ordering = "sometimes"        # 4
max_in_flight = 0             # 5
timers = ["unpaid", "unpaid"] # 6

[[on]]
subjects = ["shop.order.{order}.placed"] # 7
key = "{oder}"

[emits]
"order.confirmed" = "shop.order.confirmed" # 8

[limits]
time = "5"                    # 9
memory = "64MB"               # 10
"#;

#[test]
fn a_file_with_ten_mistakes_is_reported_with_ten_lines() {
    let place = Place::empty();
    place.write("bad/handler.toml", TEN_MISTAKES);
    let wanted: BTreeSet<u64> = (1..)
        .zip(TEN_MISTAKES.lines())
        .filter(|(_, line)| line.contains('#'))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(wanted.len(), 10);

    let run = place.wharf(&["check", "bad", "-o", "json"]).expect(3);
    let document = run.json();
    assert_eq!(document["error"]["code"], "WH0102");
    let findings = document["data"]["findings"]
        .as_array()
        .expect("findings")
        .clone();
    let lines: BTreeSet<u64> = findings
        .iter()
        .filter_map(|finding| finding["line"].as_u64())
        .collect();
    assert_eq!(lines, wanted, "{findings:#?}");
    for finding in &findings {
        assert_eq!(finding["file"], "bad/handler.toml");
        for key in ["code", "message", "remedy"] {
            assert!(
                finding[key].as_str().is_some_and(|text| !text.is_empty()),
                "{finding}"
            );
        }
    }

    let run = place.wharf(&["check", "bad"]).expect(3);
    assert!(
        run.out.contains("bad/handler.toml:3:1: error[unknown-key]"),
        "{run:?}"
    );
    assert!(
        run.err.contains("error[WH0102]") && run.err.contains("docs/errors/WH0102.md"),
        "{run:?}"
    );
}

#[test]
fn a_sound_place_passes_and_says_what_comes_next() {
    let place = Place::shop("nats://127.0.0.1:4222");
    let run = place.wharf(&["check"]).expect(0);
    assert!(
        run.out.contains("order") && run.out.contains("no handler.wasm"),
        "{run:?}"
    );
    assert!(
        run.err.contains("Next: wharf provision --dry-run"),
        "{run:?}"
    );

    let document = place
        .wharf(&["check", "--no-wasm", "-o", "json"])
        .expect(0)
        .json();
    let names: Vec<&Value> = document["data"]["handlers"]
        .as_array()
        .expect("handlers")
        .iter()
        .map(|h| &h["name"])
        .collect();
    assert_eq!(names, ["mail", "order"]);
}

#[test]
fn rules_across_files_are_checked_with_the_files_of_the_folder() {
    let place = Place::empty();
    place.write(
        "all/wharf.toml",
        "[streams.OTHER]\nsubjects = [\"other.>\"]\n",
    );
    place.write(
        "all/needs.toml",
        "[needs.mail]\nurl = \"http://127.0.0.1:1\"\n",
    );
    place.write("all/order/handler.toml", ORDER);
    place.write(
        "all/mail/handler.toml",
        format!("{MAIL}\n[needs.post]\ntimeout = \"1s\"\n"),
    );
    let document = place
        .wharf(&["check", "all", "-o", "json"])
        .expect(3)
        .json();
    let findings = document["data"]["findings"].as_array().expect("findings");
    let codes: BTreeSet<&str> = findings
        .iter()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        BTreeSet::from(["uncovered-emission", "unknown-need", "unknown-stream"])
    );
}

#[test]
fn a_component_that_no_host_runs_is_refused_with_its_own_code() {
    let cases: [(&[u8], &str); 3] = [
        (b"this is not wasm", "WH0402"),
        (b"\0asm\x01\0\0\0", "WH0403"),
        // A component without anything in it.
        (b"\0asm\x0d\0\x01\0", "WH0405"),
    ];
    for (bytes, code) in cases {
        let place = Place::empty();
        place.write("order/handler.toml", ORDER);
        place.write("order/handler.wasm", bytes);
        let document = place
            .wharf(&["check", "order", "-o", "json"])
            .expect(3)
            .json();
        assert_eq!(
            document["data"]["findings"][0]["code"], code,
            "{document:#}"
        );
        assert_eq!(
            document["data"]["handlers"][0]["component"]["status"],
            "refused"
        );
        place.wharf(&["check", "order", "--no-wasm"]).expect(0);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let place = Place::empty();
    assert_eq!(
        place.wharf(&["check", "-o", "json"]).expect(4).error_code(),
        "WH0103"
    );
    assert_eq!(
        place
            .wharf(&["check", "nowhere", "-o", "json"])
            .expect(4)
            .error_code(),
        "WH0103"
    );
    place.write("notes.txt", "");
    assert_eq!(
        place
            .wharf(&["check", "notes.txt", "-o", "json"])
            .expect(2)
            .error_code(),
        "WH0002"
    );
}

#[test]
fn the_handlers_of_the_shop_are_sound() {
    let place = Place::empty();
    let handlers = repository("handlers");
    let run = place
        .wharf(&["check", "--no-wasm", handlers.to_str().expect("a path")])
        .expect(0);
    for name in ["audit", "inventory", "notification", "order", "payment"] {
        assert!(run.out.contains(name), "{run:?}");
    }
    assert!(
        run.out.contains("The order saga"),
        "its description: {run:?}"
    );
}

//! Components that are not fit to run: `wharf host` and `wharf check` refuse
//! them before any event.

use tempfile::TempDir;

use crate::bundles::{self, Bundle};
use crate::run::run;

const MANIFEST: &str = r#"stream = "TEST"
start = "all"

[[on]]
subjects = ["test.keep.{id}"]
key = "{id}"

[state]
"#;

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("well-formed text")
}

/// What is wrong, the bytes, the code, and a word of the message.
pub fn cases() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let good = bundles::appender();
    let mut flipped = good.to_vec();
    for byte in &mut flipped[200..260] {
        *byte ^= 0xff;
    }
    let other_world = r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    let unknown_import = r#"(component (import "other:thing/x" (instance (export "f" (func)))))"#;
    let other_shape = r#"(component (import "wharf:handler/config@0.1.0"
        (instance (export "get" (func (param "name" u32))))))"#;
    vec![
        ("an empty file", Vec::new(), "WH0402", ""),
        ("text", b"#!/bin/sh\nexit 1\n".to_vec(), "WH0402", ""),
        (
            "a file cut in half",
            good[..good.len() / 2].to_vec(),
            "WH0402",
            "",
        ),
        ("a damaged file", flipped, "WH0402", ""),
        ("a core module", wat("(module)"), "WH0403", "module"),
        (
            "another world",
            wat(other_world),
            "WH0405",
            "wasi:cli/run@0.2.0",
        ),
        (
            "an import of another shape",
            wat(other_shape),
            "WH0405",
            "wharf:handler/config@0.1.0",
        ),
        (
            "an import that no host has",
            wat(unknown_import),
            "WH0404",
            "other:thing/x",
        ),
    ]
}

/// A place without a broker: whoever gets as far as that waits for ever.
fn place(wasm: &[u8]) -> TempDir {
    let good = Bundle::new("good", MANIFEST, bundles::appender());
    bundles::folder(&[good, Bundle::new("bad", MANIFEST, wasm)])
}

#[test]
fn an_unfit_component_is_refused_by_host_and_check_with_its_code() {
    for (what, wasm, code, says) in cases() {
        let place = place(&wasm);
        let host = [
            "host",
            "--handlers",
            ".",
            "--listen",
            "127.0.0.1:0",
            "--nats-url",
            "nats://127.0.0.1:9",
            "-o",
            "json",
        ];
        let error = run(place.path(), &host).refused(code, 3);
        let (message, at) = (
            error["message"].as_str().expect("text"),
            error["place"].as_str().expect("a place"),
        );
        assert!(message.contains(says), "{what}: {message}");
        assert!(at.ends_with("bad/handler.wasm"), "{what}: {at}");

        let checked = run(place.path(), &["check", ".", "-o", "json"]);
        checked.refused("WH0102", 3);
        let document: serde_json::Value = serde_json::from_str(&checked.out).expect("JSON");
        let findings = document["data"]["findings"].as_array().expect("findings");
        assert_eq!(findings.len(), 1, "{what}: {findings:?}");
        assert_eq!(findings[0]["code"], code, "{what}");
        assert!(
            findings[0]["remedy"]
                .as_str()
                .is_some_and(|remedy| !remedy.is_empty()),
            "{what}"
        );
    }
}

#[test]
fn a_bundle_without_its_component_is_refused_by_host() {
    let place = place(&[]);
    std::fs::remove_file(place.path().join("bad/handler.wasm")).expect("it was there");
    let host = [
        "host",
        "--handlers",
        ".",
        "--listen",
        "127.0.0.1:0",
        "--nats-url",
        "nats://127.0.0.1:9",
        "-o",
        "json",
    ];
    let error = run(place.path(), &host).refused("WH0401", 3);
    assert!(
        error["place"]
            .as_str()
            .is_some_and(|at| at.ends_with("bad/handler.wasm")),
        "{error}"
    );
}

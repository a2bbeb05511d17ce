//! `wharf deploy` and the commands around a handler's versions and needs, against
//! a real broker and without a host.

mod cli_support;
#[path = "support/mod.rs"]
mod support;

use cli_support::{Place, Server, repository};

const STREAMS: &str = r#"
[streams.SHOP]
subjects = ["shop.>"]
max_bytes = "64MiB"

[streams.AUDIT]
subjects = ["audit.>"]
max_bytes = "64MiB"
"#;

/// A place with the shop's streams and needs, and the bundle of one handler.
fn place(server: &Server, handler: &str) -> Place {
    let place = Place::empty();
    place.write(
        "wharf.toml",
        format!("[nats]\nurl = \"{}\"\n{STREAMS}", server.url()),
    );
    place.write(
        "needs.toml",
        "[needs.gateway]\nurl = \"http://127.0.0.1:1\"\n\n[needs.mail]\nurl = \"http://127.0.0.1:1\"\n",
    );
    for file in ["handler.toml", "handler.wasm"] {
        let bytes = std::fs::read(support::bundles().join(handler).join(file));
        place.write(&format!("bundle/{file}"), bytes.expect("it is built"));
    }
    place
}

/// The same component, told apart.
fn change(place: &Place, mark: &str) {
    let wasm = std::fs::read(support::bundles().join("inventory/handler.wasm"));
    let wasm = support::rollout::marked(&wasm.expect("it is built"), mark);
    place.write("bundle/handler.wasm", wasm);
}

#[test]
fn a_handler_is_deployed_changed_and_taken_back() {
    let server = Server::start();
    let place = place(&server, "inventory");
    let first = place.wharf(&["deploy", "bundle", "-m", "opening day", "-o", "json"]);
    let first = first.expect(0).json();
    let row = &first["data"]["handlers"][0];
    assert_eq!(
        (&row["step"], &row["version"]),
        (&"first".into(), &1.into())
    );
    let again = place
        .wharf(&["deploy", "bundle", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(again["data"]["handlers"][0]["step"], "unchanged");

    let alone = place
        .wharf(&["rollback", "inventory", "-o", "json"])
        .expect(5);
    assert_eq!(alone.error_code(), "WH1008");
    change(&place, "two");
    // The shape on the broker is there already; a host is not.
    let late = place.wharf(&["deploy", "bundle", "--wait", "--timeout", "1", "-o", "json"]);
    let late = late.expect(7).json();
    assert_eq!(late["error"]["code"], "WH1010");
    assert_eq!(late["data"]["handlers"][0]["version"], 2);

    let back = place
        .wharf(&["rollback", "inventory", "-m", "it oversells"])
        .expect(0);
    assert!(back.out.contains("it oversells"), "{back:?}");
    let versions = place
        .wharf(&["versions", "inventory", "-o", "json"])
        .expect(0)
        .json();
    assert_eq!(versions["data"]["stable"], 1);
    let rows = versions["data"]["versions"]
        .as_array()
        .expect("versions")
        .len();
    assert_eq!(rows, 2);
    let status = place.wharf(&["status"]).expect(0);
    assert!(
        status.out.contains("inventory") && status.out.contains("on no host"),
        "{status:?}"
    );

    let unknown = place
        .wharf(&["rollback", "inventory", "--to", "9", "-o", "json"])
        .expect(4);
    assert_eq!(unknown.error_code(), "WH1007");
    for command in ["versions", "rollback", "pause", "resume"] {
        let unknown = place.wharf(&[command, "nobody", "-o", "json"]).expect(4);
        assert_eq!(unknown.error_code(), "WH1006", "{command}");
    }
}

#[test]
fn what_no_host_would_run_is_not_deployed() {
    let server = Server::start();
    let place = place(&server, "inventory");
    place.write("bundle/handler.wasm", "#!/bin/sh\n");
    let refused = place.wharf(&["deploy", "bundle", "-o", "json"]).expect(3);
    assert_eq!(refused.error_code(), "WH0402");
    place
        .wharf(&["provision", "--handlers", "bundle"])
        .expect(0);
    let none = place
        .wharf(&["versions", "inventory", "-o", "json"])
        .expect(4);
    assert_eq!(none.error_code(), "WH1006");
}

#[test]
fn another_subscription_is_due_with_order_and_refused_without() {
    let server = Server::start();
    let place = place(&server, "inventory");
    let changed = |name: &str, from: &str, to: &str| {
        let path = support::bundles().join(format!("{name}/handler.toml"));
        let manifest = std::fs::read_to_string(path).expect("it is built");
        let other = manifest.replace(from, to);
        assert_ne!(other, manifest);
        other
    };
    place.wharf(&["deploy", "bundle"]).expect(0);
    let other = changed("inventory", "{sku}.*", "{sku}.stocked");
    place.write("bundle/handler.toml", other);
    let deployed = place.wharf(&["deploy", "bundle", "-o", "json"]).expect(0);
    let row = &deployed.json()["data"]["handlers"][0];
    assert_eq!(row["version"], 2, "{row}");
    assert_eq!(row["subscription"]["state"], "due", "nobody has changed it");
    let again = place.wharf(&["deploy", "bundle"]).expect(0);
    let due = "unchanged; its subscription changes when a host takes it up";
    assert!(again.out.contains(due), "{}", again.out);

    let other_server = Server::start();
    let place = self::place(&other_server, "notification");
    place.wharf(&["deploy", "bundle"]).expect(0);
    let other = changed("notification", "{order}.confirmed\", ", "{order}.paid\", ");
    place.write("bundle/handler.toml", other);
    let refused = place.wharf(&["deploy", "bundle", "-o", "json"]).expect(5);
    assert_eq!(refused.error_code(), "WH0306");
    assert!(
        refused.json()["error"]["message"]
            .to_string()
            .contains("another key rule")
    );
    let versions = place.wharf(&["versions", "notification", "-o", "json"]);
    assert_eq!(versions.expect(0).json()["data"]["stable"], 1);
}

#[test]
fn another_ordering_is_refused_since_the_history_is_of_the_first() {
    let server = Server::start();
    let place = place(&server, "notification");
    place.wharf(&["deploy", "bundle"]).expect(0);
    let path = support::bundles().join("notification/handler.toml");
    let manifest = std::fs::read_to_string(path).expect("it is built");
    let unordered = "ordering = \"none\"\ndelivery = \"at-least-once\"\n";
    let other = manifest.replace(unordered, "");
    assert_ne!(other, manifest);
    place.write("bundle/handler.toml", other);
    let refused = place.wharf(&["deploy", "bundle", "-o", "json"]).expect(5);
    assert_eq!(refused.error_code(), "WH0306");
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("ordering"), "{message}");
}

#[test]
fn needs_are_kept_shown_and_their_secrets_are_not() {
    let server = Server::start();
    let place = place(&server, "payment");
    place
        .wharf(&["provision", "--handlers", "bundle"])
        .expect(0);
    let file = "[needs.gateway]\nurl = \"https://pay.example.com\"\n\
        auth = { header = \"authorization\", value = \"Bearer ${secret:TOKEN}\" }\n";
    place.write("prod.toml", file);
    place.wharf(&["needs", "apply", "prod.toml"]).expect(0);
    place
        .wharf(&[
            "needs",
            "set",
            "mail",
            "--url",
            "http://mail:8080",
            "--max-in-flight",
            "9",
        ])
        .expect(0);
    let all = place.wharf(&["needs", "ls", "-o", "json"]).expect(0).json();
    let names: Vec<_> = all["data"]["needs"]
        .as_array()
        .expect("needs")
        .iter()
        .map(|need| need["need"].clone())
        .collect();
    assert_eq!(names, ["gateway", "mail"]);
    let shown = place.wharf(&["needs", "show", "gateway"]).expect(0);
    assert!(
        shown.out.contains("https://pay.example.com") && shown.out.contains("${secret:TOKEN}"),
        "{shown:?}"
    );
    let shown = place.wharf(&["needs", "show", "mail"]).expect(0);
    assert!(shown.out.contains("max_in_flight = 9"), "{shown:?}");
    let unknown = place
        .wharf(&["needs", "show", "gatway", "-o", "json"])
        .expect(4);
    assert_eq!(unknown.error_code(), "WH1011");
    let wrong = place
        .wharf(&["needs", "set", "mail", "--url", "mail:8080", "-o", "json"])
        .expect(3);
    assert_eq!(wrong.error_code(), "WH0102");
}

#[test]
fn a_component_is_inspected_and_a_shell_is_served() {
    let place = Place::empty();
    let wasm = support::bundles().join("payment/handler.wasm");
    let seen = place.wharf(&["inspect", wasm.to_str().expect("UTF-8"), "-o", "json"]);
    let seen = seen.expect(0).json();
    assert_eq!(seen["data"]["fits"], true);
    assert_eq!(seen["data"]["exports"][0], "wharf:handler/handler@0.1.0");
    let other = r#"(component (import "other:thing/x" (instance (export "f" (func)))))"#;
    place.write("other.wasm", wat::parse_str(other).expect("well-formed"));
    let seen = place.wharf(&["inspect", "other.wasm"]).expect(0);
    assert!(
        seen.out.contains("other:thing/x  (no host has it)"),
        "{seen:?}"
    );
    assert!(seen.out.contains("no host would load it"), "{seen:?}");
    let module = repository("Cargo.toml");
    let wrong = place.wharf(&["inspect", module.to_str().expect("UTF-8"), "-o", "json"]);
    assert_eq!(wrong.expect(3).error_code(), "WH0402");
    for shell in ["bash", "zsh", "fish"] {
        let said = place.wharf(&["completions", shell]).expect(0);
        assert!(said.out.contains("rollback"), "{shell}");
    }
}

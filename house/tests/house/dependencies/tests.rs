use super::*;
use serde_json::json;

/// A workspace of the given packages (name, folder or "" for a foreign one,
/// target kind) and needs (from, to, kind as in metadata).
fn graph(packages: &[(&str, &str, &str)], needs: &[(&str, &str, Value)]) -> Graph {
    let described = packages.iter().map(|(name, folder, kind)| {
        let home = if folder.is_empty() { "/registry" } else { "/w" };
        json!({
            "id": name, "name": name, "targets": [{ "kind": [kind] }],
            "manifest_path": format!("{home}/{folder}/Cargo.toml"),
        })
    });
    let nodes = packages.iter().map(|(name, _, _)| {
        let deps = needs.iter().filter(|(from, _, _)| from == name);
        let deps = deps.map(|(_, to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] }));
        json!({ "id": name, "deps": deps.collect::<Vec<_>>() })
    });
    let metadata = json!({
        "workspace_root": "/w",
        "packages": described.collect::<Vec<_>>(),
        "resolve": { "nodes": nodes.collect::<Vec<_>>() },
    });
    Graph::from_metadata(&metadata).expect("the fixture has the shape of metadata")
}

const CORE: (&str, &str, &str) = ("wharf-core", "host/core", "lib");
const ENGINE: (&str, &str, &str) = ("wharf-engine", "host/engine", "lib");
const JETSTREAM: (&str, &str, &str) = ("wharf-jetstream", "host/jetstream", "lib");
const BETWEEN: (&str, &str, &str) = ("between", "", "lib");
const MACROS: (&str, &str, &str) = ("macros", "", "proc-macro");
const TIME: (&str, &str, &str) = ("time", "", "lib");

fn reached(needs: &[(&str, &str, Value)]) -> Vec<String> {
    let graph = graph(&[CORE, BETWEEN, MACROS, TIME], needs);
    let found = graph.reach("wharf-core", CLOCKS_AND_RANDOMNESS);
    found
        .into_iter()
        .map(|violation| violation.problem)
        .collect()
}

#[test]
fn a_clock_behind_another_crate_is_reported_with_the_way_to_it() {
    let found = reached(&[
        ("wharf-core", "between", json!(null)),
        ("between", "time", json!(null)),
    ]);
    assert_eq!(found, ["must not reach time: wharf-core → between → time"]);
}

#[test]
fn what_tests_build_scripts_and_macros_need_is_not_reached() {
    for kind in ["dev", "build"] {
        assert_eq!(
            reached(&[("wharf-core", "time", json!(kind))]),
            Vec::<String>::new()
        );
    }
    let through_macro = [
        ("wharf-core", "macros", json!(null)),
        ("macros", "time", json!(null)),
    ];
    assert_eq!(reached(&through_macro), Vec::<String>::new());
}

#[test]
fn a_rule_about_a_package_that_is_gone_is_reported() {
    let graph = graph(&[BETWEEN], &[]);
    assert_eq!(graph.reach("wharf-core", &["time"]).len(), 1);
}

#[test]
fn an_arrow_against_the_direction_is_reported_even_from_tests() {
    for (from, to) in [
        ("wharf-core", "wharf-engine"),
        ("wharf-engine", "wharf-jetstream"),
        ("wharf-jetstream", "wharf-engine"),
    ] {
        let graph = graph(&[CORE, ENGINE, JETSTREAM], &[(from, to, json!("dev"))]);
        assert_eq!(graph.arrows().len(), 1, "{from} → {to}");
    }
}

#[test]
fn arrows_to_the_core_are_fine_and_an_unknown_member_is_not() {
    let needs = [("wharf-engine", "wharf-core", json!(null))];
    assert_eq!(graph(&[CORE, ENGINE], &needs).arrows(), []);
    let stranger = ("stranger", "host/corella", "lib");
    assert_eq!(graph(&[stranger], &[]).arrows().len(), 1);
}

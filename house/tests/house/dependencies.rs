//! Which crate may know which. A crate of the host exists to forbid a
//! dependency; here the forbidding happens.

use crate::Violation;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Crates that tell time or draw random numbers: with one of them in the core,
/// a seed would no longer replay a run.
const CLOCKS_AND_RANDOMNESS: &[&str] = &[
    "ahash",
    "chrono",
    "coarsetime",
    "fastrand",
    "getrandom",
    "instant",
    "jiff",
    "nanorand",
    "oorandom",
    "quanta",
    "rand",
    "rand_chacha",
    "rand_core",
    "rand_pcg",
    "time",
    "uuid",
    "wasm-timer",
    "web-time",
];

/// What a package must never reach, directly or through others.
const UNREACHABLE: &[(&str, &[&str])] = &[
    ("wharf-core", CLOCKS_AND_RANDOMNESS),
    (
        "wharf-core",
        &[
            "tokio",
            "async-nats",
            "wasmtime",
            "wasmtime-wasi",
            "mio",
            "rayon",
        ],
    ),
    ("wharf-engine", &["async-nats", "wharf-jetstream"]),
    (
        "wharf-jetstream",
        &["wasmtime", "wasmtime-wasi", "wharf-engine"],
    ),
    ("wharf-telemetry", &["async-nats", "wasmtime"]),
];

/// Which members may depend on which, by folder, tests and build scripts
/// included. A member below a folder counts as the folder.
const ARROWS: &[(&str, &[&str])] = &[
    ("host/core", &[]),
    ("host/engine", &["host/core"]),
    ("host/jetstream", &["host/core"]),
    ("host/telemetry", &["host/core"]),
    (
        "host/wharf",
        &[
            "host/core",
            "host/engine",
            "host/jetstream",
            "host/telemetry",
            "demo",
        ],
    ),
    ("demo", &["host/core", "handlers"]),
    ("bench/echo", &[]),
    ("bench", &["host/core", "host/engine", "demo"]),
    ("sdk", &["sdk"]),
    ("handlers", &["handlers", "sdk"]),
    // What manifests carry for a host is read by the host's own parsers.
    ("house", &["host/core"]),
];

/// The packages of a workspace and what each one needs.
#[derive(Debug)]
pub struct Graph {
    packages: BTreeMap<String, Package>,
}

#[derive(Debug)]
struct Package {
    name: String,
    /// The folder of a member, relative to the workspace; none for the others.
    folder: Option<String>,
    /// Runs in the compiler, so what it needs is not part of the program.
    is_proc_macro: bool,
    needs: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    id: String,
    /// Part of the program, not only of its tests or its build script.
    is_linked: bool,
}

impl Graph {
    /// Reads what `cargo metadata --format-version 1` prints.
    ///
    /// # Errors
    /// When the value has another shape.
    pub fn from_metadata(metadata: &Value) -> Result<Self> {
        let root = text(metadata, "workspace_root")?;
        let mut packages = BTreeMap::new();
        for package in list(metadata, "packages")? {
            let folder = text(package, "manifest_path")?
                .strip_suffix("/Cargo.toml")
                .and_then(|folder| folder.strip_prefix(root)?.strip_prefix('/'))
                .map(str::to_owned);
            let is_proc_macro = list(package, "targets")?
                .iter()
                .any(|target| target["kind"][0] == "proc-macro");
            let name = text(package, "name")?.to_owned();
            let id = text(package, "id")?.to_owned();
            let needs = Vec::new();
            packages.insert(
                id,
                Package {
                    name,
                    folder,
                    is_proc_macro,
                    needs,
                },
            );
        }
        for node in list(&metadata["resolve"], "nodes")? {
            let package = packages
                .get_mut(text(node, "id")?)
                .context("a node without package")?;
            package.needs = list(node, "deps")?
                .iter()
                .map(need)
                .collect::<Result<_>>()?;
        }
        Ok(Self { packages })
    }

    /// Every way in which the graph breaks the rules of this module.
    pub fn violations(&self) -> Vec<Violation> {
        let reached = UNREACHABLE
            .iter()
            .flat_map(|(from, forbidden)| self.reach(from, forbidden));
        reached.chain(self.arrows()).collect()
    }

    /// The forbidden packages that `from` is linked with, each with the way.
    fn reach(&self, from: &str, forbidden: &[&str]) -> Vec<Violation> {
        let Some((start, _)) = self
            .packages
            .iter()
            .find(|(_, package)| package.name == from)
        else {
            return vec![Violation::new(
                from,
                "a rule names this package, and it does not exist",
            )];
        };
        let mut ways = BTreeMap::from([(start.as_str(), from.to_owned())]);
        let mut queue = VecDeque::from([start.as_str()]);
        let mut found = Vec::new();
        while let Some(id) = queue.pop_front() {
            for need in self.packages[id].needs.iter().filter(|need| need.is_linked) {
                let package = &self.packages[&need.id];
                if package.is_proc_macro || ways.contains_key(need.id.as_str()) {
                    continue;
                }
                let way = format!("{} → {}", ways[id], package.name);
                if forbidden.contains(&package.name.as_str()) {
                    found.push(Violation::new(
                        from,
                        format!("must not reach {}: {way}", package.name),
                    ));
                }
                ways.insert(&need.id, way);
                queue.push_back(&need.id);
            }
        }
        found
    }

    /// Members that depend on a member which they must not know.
    fn arrows(&self) -> Vec<Violation> {
        let members = self
            .packages
            .values()
            .filter_map(|package| Some((package, package.folder.as_ref()?)));
        let mut found = Vec::new();
        for (package, folder) in members {
            let Some((group, allowed)) = group_of(folder) else {
                found.push(Violation::new(
                    folder,
                    "no rule says what this member may depend on: add one",
                ));
                continue;
            };
            for need in &package.needs {
                let needed = &self.packages[&need.id];
                let Some(other) = needed.folder.as_ref() else {
                    continue;
                };
                let known = group_of(other).is_some_and(|(name, _)| allowed.contains(&name));
                if !known {
                    found.push(Violation::new(
                        group,
                        format!("must not depend on {} ({other})", needed.name),
                    ));
                }
            }
        }
        found
    }
}

/// The rule for a member's folder.
fn group_of(folder: &str) -> Option<(&'static str, &'static [&'static str])> {
    ARROWS.iter().copied().find(|(group, _)| {
        let rest = folder.strip_prefix(group);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn need(dependency: &Value) -> Result<Need> {
    let kinds = list(dependency, "dep_kinds")?;
    Ok(Need {
        id: text(dependency, "pkg")?.to_owned(),
        is_linked: kinds.iter().any(|kind| kind["kind"].is_null()),
    })
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .with_context(|| format!("metadata without the text {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("metadata without the list {key}"))
}

#[cfg(test)]
mod tests;

//! Bundles of the shop, and of guests that misbehave on demand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support;

/// A bundle that a test puts into its place.
#[derive(Debug, Clone)]
pub struct Bundle {
    name: String,
    manifest: String,
    wasm: Vec<u8>,
}

impl Bundle {
    /// A handler `name`; `manifest` is the rest of its handler.toml.
    pub fn new(name: &str, manifest: &str, wasm: &[u8]) -> Self {
        let manifest = format!("name = \"{name}\"\n{manifest}");
        Self {
            name: name.to_owned(),
            manifest,
            wasm: wasm.to_vec(),
        }
    }

    /// A handler of this repository, as it is shipped.
    pub fn shipped(name: &str) -> Self {
        let folder = support::bundles().join(name);
        let manifest = std::fs::read_to_string(folder.join("handler.toml")).expect("its manifest");
        let wasm = std::fs::read(folder.join("handler.wasm")).expect("its component");
        Self {
            name: name.to_owned(),
            manifest,
            wasm,
        }
    }
}

/// A folder with these bundles; it goes with what is returned.
pub fn folder(bundles: &[Bundle]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for bundles");
    for bundle in bundles {
        let place = folder.path().join(&bundle.name);
        std::fs::create_dir(&place).expect("one folder a handler");
        std::fs::write(place.join("handler.toml"), &bundle.manifest)
            .expect("the manifest is written");
        std::fs::write(place.join("handler.wasm"), &bundle.wasm).expect("the component is written");
    }
    folder
}

/// The five handlers of the shop.
pub fn shop() -> Vec<Bundle> {
    ["audit", "inventory", "notification", "order", "payment"]
        .map(Bundle::shipped)
        .into()
}

/// The guest that does everything wrong, by the event's type.
pub fn adversary() -> &'static [u8] {
    static WASM: OnceLock<Vec<u8>> = OnceLock::new();
    WASM.get_or_init(|| fixture("adversary"))
}

/// The guest that appends each event's data to the state.
pub fn appender() -> &'static [u8] {
    static WASM: OnceLock<Vec<u8>> = OnceLock::new();
    WASM.get_or_init(|| fixture("plain"))
}

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// Builds the engine's guests if need be, and reads one.
fn fixture(name: &str) -> Vec<u8> {
    let target = support::target().join("fixtures");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--manifest-path",
        ])
        .arg(repository("host/engine/fixtures/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    std::fs::read(target.join(format!("wasm32-wasip2/release/{name}.wasm"))).expect("it was built")
}

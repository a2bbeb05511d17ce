//! Bundles: folders with a `handler.toml` and a `handler.wasm`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use wharf_core::config::{Located, Problem};
use wharf_core::manifest::{self, Manifest};
use wharf_jetstream::names::Lineage;

use crate::cli::failure::Failure;
use crate::codes::Code;
use crate::config;

pub const MANIFEST_FILE: &str = "handler.toml";
pub const COMPONENT_FILE: &str = "handler.wasm";

/// A handler as it lies on disk; its manifest is valid.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub folder: PathBuf,
    pub manifest: Manifest,
}

/// The bundles of a folder, by name.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    pub bundles: Vec<Bundle>,
    /// The same manifests with the places of their keys, for checks across
    /// files.
    pub located: Vec<Located<Manifest>>,
}

impl Bundle {
    /// Where the component is, or should be.
    pub fn wasm_path(&self) -> PathBuf {
        self.folder.join(COMPONENT_FILE)
    }

    /// The manifest as it is written.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn manifest_text(&self) -> Result<Bytes, Failure> {
        config::text(&self.folder.join(MANIFEST_FILE)).map(Bytes::from)
    }

    /// The component's bytes.
    ///
    /// # Errors
    /// The file is missing or cannot be read.
    pub fn wasm(&self) -> Result<Bytes, Failure> {
        let path = self.wasm_path();
        std::fs::read(&path).map(Bytes::from).map_err(|error| {
            let message = format!(
                "the component of handler `{}` cannot be read: {error}",
                self.manifest.name
            );
            Failure::new(Code::ComponentMissing, message).place(path.display().to_string())
        })
    }
}

impl Shelf {
    fn put(&mut self, folder: PathBuf, located: Located<Manifest>) {
        self.bundles.push(Bundle {
            folder,
            manifest: located.value.clone(),
        });
        self.located.push(located);
    }

    pub fn manifests(&self) -> Vec<&Manifest> {
        self.bundles.iter().map(|bundle| &bundle.manifest).collect()
    }

    /// The bundle of a handler.
    pub fn get(&self, handler: &str) -> Option<&Bundle> {
        self.bundles
            .iter()
            .find(|bundle| bundle.manifest.name == handler)
    }
}

/// The history that a handler works on, by its name. There is only the first
/// one: beginning again is a step of the deployment.
///
/// # Errors
/// The name is not one of a handler.
pub fn lineage(handler: &str) -> Result<Lineage, Failure> {
    Lineage::new(handler, 1).map_err(|_| {
        let message = format!("`{handler}` is not the name of a handler");
        Failure::new(Code::UnknownHandler, message)
            .remedy("a name has 1 to 63 lower-case letters, digits and `-`, a letter first")
    })
}

/// Reads all bundles of a folder; all of them, or what is wrong with any.
///
/// # Errors
/// No bundle there, a file that cannot be read, or every problem of every
/// manifest.
pub fn read_all(folder: &Path) -> Result<Shelf, Failure> {
    let folders = folders(folder)?;
    if folders.is_empty() {
        let message = format!("no {MANIFEST_FILE} in the folder, nor in a folder inside it");
        return Err(Failure::new(Code::NoBundles, message).place(folder.display().to_string()));
    }
    let (shelf, problems) = read_each(folders)?;
    match problems.is_empty() {
        true => Ok(shelf),
        false => Err(Failure::problems(problems)),
    }
}

/// Reads each folder's manifest: the valid ones, and the problems of the rest.
///
/// # Errors
/// A file cannot be read.
pub fn read_each(
    folders: impl IntoIterator<Item = PathBuf>,
) -> Result<(Shelf, Vec<Problem>), Failure> {
    let (mut shelf, mut problems) = (Shelf::default(), Vec::new());
    for folder in folders {
        let path = folder.join(MANIFEST_FILE);
        let text = config::text(&path)?;
        match manifest::read(&path.display().to_string(), &text) {
            Ok(located) => shelf.put(folder, located),
            Err(found) => problems.extend(found),
        }
    }
    Ok((shelf, problems))
}

/// The folder itself if it is a bundle, else those folders in it that are, by
/// name.
///
/// # Errors
/// The folder cannot be read.
pub fn folders(folder: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let is_bundle = |path: &Path| path.join(MANIFEST_FILE).is_file();
    if is_bundle(folder) {
        return Ok(BTreeSet::from([folder.to_owned()]));
    }
    let unreadable = |error: std::io::Error| {
        Failure::new(
            Code::NoBundles,
            format!("the folder cannot be read: {error}"),
        )
        .place(folder.display().to_string())
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut found = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if is_bundle(&path) {
            found.insert(path);
        }
    }
    Ok(found)
}

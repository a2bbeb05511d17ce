//! The demo's folder: emptied before each run, and only if it is a demo's.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::load::Spec;
use crate::report::Facts;

/// Lies in every folder that a demo made, and gives leave to empty it.
const MARK: &str = ".wharf-demo";

/// The links of all audit chains, one JSON object on each line.
pub const CHAINS: &str = "audit.ndjson";
/// The data of an order, to be placed again under another key.
pub const ORDER: &str = "order.json";

/// What a run leaves to the next one: handlers as the host compiled them.
const CACHE: &str = "cache";

/// A folder for one run. It stays afterwards, for whoever wants to look.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, or empties it when an earlier demo made it.
    ///
    /// # Errors
    /// [`Error::NotOurs`] when it holds something else, [`Error::Io`].
    pub fn fresh(path: &Path) -> Result<Self, Error> {
        let doing = || format!("preparing {}", path.display());
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries.count(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::io(doing())(error)),
        };
        if entries > 0 {
            if !path.join(MARK).is_file() {
                return Err(Error::NotOurs {
                    path: path.to_owned(),
                });
            }
            empty(path).map_err(Error::io(doing()))?;
        }
        std::fs::create_dir_all(path)
            .and_then(|()| std::fs::write(path.join(MARK), "made by `wharf demo`; emptied by the next one\n"))
            // Children run elsewhere, so the path must not depend on where this one does.
            .and_then(|()| path.canonicalize())
            .map(Self)
            .map_err(Error::io(doing()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Keeps what is there to be tried by hand: the audit's chains, and an order.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn keep(&self, spec: &Spec, facts: &Facts) -> Result<(), Error> {
        let links = facts.links.iter().map(|link| link.data.as_slice());
        let lines: Vec<&[u8]> = links.flat_map(|link| [link, b"\n"]).collect();
        self.write(CHAINS, &lines.concat())?;
        let order = spec.orders().next().map(|order| order.placed);
        let order = serde_json::to_vec(&order).expect("plain structs serialize");
        self.write(ORDER, &order)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.0.join(name);
        let doing = format!("writing {}", path.display());
        std::fs::write(path, bytes).map_err(Error::io(doing))
    }

    /// Where the host keeps compiled handlers, from run to run.
    pub fn cache(&self) -> PathBuf {
        self.0.join(CACHE)
    }
}

fn empty(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == CACHE {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demos_own_folder_is_emptied_and_a_strangers_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("demo");
        let folder = Folder::fresh(&path).unwrap();
        std::fs::write(folder.path().join("old"), "").unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::create_dir(folder.cache()).unwrap();
        Folder::fresh(&path).unwrap();
        assert!(!path.join("old").exists() && !path.join("store").exists());
        assert!(folder.cache().exists());

        let stranger = parent.path().join("stranger");
        std::fs::create_dir(&stranger).unwrap();
        std::fs::write(stranger.join("thesis"), "years of work").unwrap();
        let error = Folder::fresh(&stranger).unwrap_err();
        assert!(matches!(error, Error::NotOurs { .. }), "{error}");
        assert!(stranger.join("thesis").exists());
    }
}

//! The files of a checkout, held in memory: rules read them, fixtures make them.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Paths relative to the root (with `/`), each with its text. A file that is
/// not UTF-8 has no text but is known to exist.
#[derive(Debug, Default, Clone)]
pub struct Tree {
    files: BTreeMap<String, String>,
    generated: Vec<String>,
}

impl Tree {
    /// Reads a checkout, leaving out what its `.gitignore` names and `.git`.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        let ignore = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let generated = ignore
            .lines()
            .map(|line| line.trim().trim_matches('/').to_owned())
            .filter(|name| !name.is_empty() && !name.starts_with('#'))
            .collect();
        let mut tree = Self {
            files: BTreeMap::new(),
            generated,
        };
        tree.add_folder(root, "")?;
        Ok(tree)
    }

    /// A tree of the given paths and texts, for fixtures.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self {
            files: files.collect(),
            generated: vec!["target".to_owned()],
        }
    }

    /// Paths and texts, in the order of the paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The Rust files among them.
    pub fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| has_extension(path, "rs"))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether `path` is made by a build or a run: its first folder is ignored
    /// by git, so nothing can be said about its existence.
    pub fn is_generated(&self, path: &str) -> bool {
        let first = path.split('/').next().unwrap_or(path);
        self.generated.iter().any(|name| name == first)
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if path == ".git" || self.is_generated(&path) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path()).with_context(|| format!("reading {path}"))?;
                let text = String::from_utf8(bytes).unwrap_or_default();
                self.files.insert(path, text);
            }
        }
        Ok(())
    }
}

/// Whether the last component of `path` ends in `.extension`.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_path_is_one_whose_first_folder_is_ignored() {
        let tree = Tree::of(&[]);
        assert!(tree.is_generated("target/debug/wharf"));
        assert!(!tree.is_generated("host/target.rs"));
    }

    #[test]
    fn this_crate_is_found_in_the_checkout_and_build_output_is_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tree = Tree::read(&root).expect("the checkout is readable");
        assert!(tree.text("house/tests/house/tree.rs").is_some());
        assert!(tree.files().all(|(path, _)| !path.starts_with("target/")));
        assert!(tree.files().all(|(path, _)| !path.starts_with(".git/")));
    }
}

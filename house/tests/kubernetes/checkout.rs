//! The rules, applied to this checkout, and to it with one thing broken.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::layer::{self, Files};
use crate::relations::{self, Host};
use crate::schema::Schemas;
use crate::{Problem, pods};

/// Every layer that is applied, and what the others stand on.
const LAYERS: [&str; 2] = ["k8s/base", "k8s/overlays/lab"];
/// More than what our kinds need would only make the checkout slow.
const SCHEMAS_BYTES_MAX: usize = 256 * 1024;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("reading {path}"))
}

/// Everything below `k8s/`.
pub fn files() -> Result<Files> {
    fn add(files: &mut Files, folder: &str) -> Result<()> {
        for entry in
            fs::read_dir(root().join(folder)).with_context(|| format!("reading {folder}"))?
        {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                add(files, &path)?;
            } else {
                files.insert(path.clone(), text(&path)?);
            }
        }
        Ok(())
    }
    let mut files = Files::new();
    add(&mut files, "k8s")?;
    Ok(files)
}

fn schemas() -> Result<Schemas> {
    Schemas::parse(&text("k8s/schemas.json")?)
}

/// What is wrong with these files and this checkout's host.
pub fn problems(files: &Files) -> Result<Vec<String>> {
    let schemas = schemas()?;
    let host = Host::of(&text("host/wharf/src/http.rs")?, &text("Cargo.toml")?);
    let mut found: Vec<Problem> = Vec::new();
    for folder in LAYERS {
        let layer = layer::read(files, &schemas, folder);
        found.extend(pods::problems(&layer));
        found.extend(relations::problems(&layer, &host));
        found.extend(layer.problems);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found.iter().map(Problem::to_string).collect())
}

#[test]
fn manifests_fit_the_schemas_the_host_and_each_other() -> Result<()> {
    assert_eq!(problems(&files()?)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_layer_of_the_checkout_is_looked_at() -> Result<()> {
    let files = files()?;
    let found = files
        .keys()
        .filter_map(|file| file.strip_suffix("/kustomization.yaml"));
    assert_eq!(found.collect::<Vec<_>>(), LAYERS);
    Ok(())
}

#[test]
fn the_schemas_are_those_that_the_manifests_need_and_small() -> Result<()> {
    let size = text("k8s/schemas.json")?.len();
    assert!(size < SCHEMAS_BYTES_MAX, "{size} bytes");
    Ok(())
}

//! The rules of the house, applied to this checkout.

use crate::dependencies::Graph;
use crate::tree::Tree;
use crate::{
    assert_none, codes, documents, interleavings, leftovers, members, purity, quotes, sizes,
};
use anyhow::{Context, Result, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn tree() -> Result<Tree> {
    Tree::read(&root())
}

/// What a program of the toolchain prints.
fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("running {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The dependency graph for the platform of this machine: the others' packages
/// may not have been downloaded, and a test asks nothing of the network.
fn graph() -> Result<Graph> {
    let about = output("rustc", &["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its host")?;
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = [
        "metadata",
        "--format-version",
        "1",
        "--offline",
        "--filter-platform",
        host,
    ];
    Graph::from_metadata(&serde_json::from_str(&output(&cargo, &arguments)?)?)
}

#[test]
fn crates_know_only_what_the_architecture_lets_them_know() -> Result<()> {
    assert_none(&graph()?.violations());
    Ok(())
}

#[test]
fn the_core_names_no_clock_no_thread_and_no_unordered_map() -> Result<()> {
    assert_none(&purity::violations(&tree()?));
    Ok(())
}

#[test]
fn documents_name_only_what_exists() -> Result<()> {
    let tree = tree()?;
    let exceptions = tree.text("house/allow/documents.txt").unwrap_or_default();
    assert_none(&documents::violations(&tree, exceptions));
    Ok(())
}

#[test]
fn documents_quote_the_code_that_is_there() -> Result<()> {
    assert_none(&quotes::violations(&tree()?));
    Ok(())
}

#[test]
fn functions_and_files_keep_their_size() -> Result<()> {
    let tree = tree()?;
    let exceptions = tree.text("house/allow/sizes.txt").unwrap_or_default();
    assert_none(&sizes::violations(&tree, exceptions));
    Ok(())
}

#[test]
fn error_codes_and_their_pages_are_the_same_set() -> Result<()> {
    assert_none(&codes::violations(&tree()?));
    Ok(())
}

#[test]
fn every_interleaving_that_concerns_what_is_built_has_its_test() -> Result<()> {
    assert_none(&interleavings::violations(&tree()?, interleavings::BUILT));
    Ok(())
}

#[test]
fn members_share_lints_and_versions() -> Result<()> {
    assert_none(&members::violations(&tree()?));
    Ok(())
}

#[test]
fn nothing_unfinished_is_in_the_tree() -> Result<()> {
    assert_none(&leftovers::violations(&tree()?));
    Ok(())
}

//! Documents name what is there: every path in back-ticks exists, every link
//! leads somewhere, and every `just` recipe can be run.
//!
//! In back-ticks, a *path* is text that holds a `/` (not as its first
//! character) or ends in the extension of a source or text file; of a command
//! with arguments its first word counts. `<x>`, `{x}`, `*` and `…` stand for
//! anything, `{a,b}` for each. What git ignores is not looked up. A *recipe*
//! is the word after `just` or `./just`, in blocks of commands too. Names that no
//! checkout can hold are listed, each with its reason.

mod claims;
mod paths;

use crate::Violation;
use crate::tree::{Tree, has_extension};
use claims::Claim;
use std::collections::{BTreeMap, BTreeSet};

/// Claims of the Markdown files that do not hold, and listed exceptions that
/// no document needs. The list has a line for each: the text, then the reason.
pub fn violations(tree: &Tree, exceptions: &str) -> Vec<Violation> {
    let recipes = recipes(tree.text("justfile").unwrap_or_default());
    let exceptions = parse(exceptions);
    let mut unused: BTreeSet<&str> = exceptions.keys().copied().collect();
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| has_extension(path, "md")) {
        for (line, claim) in claims::of(text) {
            if exceptions.contains_key(claim.text()) {
                unused.remove(claim.text());
            } else if let Some(problem) = refute(tree, &recipes, path, &claim) {
                found.push(Violation::new(format!("{path}:{line}"), problem));
            }
        }
    }
    let place = "house/allow/documents.txt";
    found.extend(
        unused
            .iter()
            .map(|text| Violation::new(place, format!("no document names {text}"))),
    );
    found
}

/// Why a claim does not hold, if so.
fn refute(tree: &Tree, recipes: &BTreeSet<&str>, document: &str, claim: &Claim) -> Option<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (holds, problem) = match claim {
        Claim::Recipe(name) => (
            recipes.contains(name.as_str()),
            format!("there is no recipe `{name}`"),
        ),
        Claim::Path(path) => (
            paths::exists(tree, folder, path) || paths::exists(tree, "", path),
            format!("there is no `{path}`"),
        ),
        Claim::Link(path) => (
            paths::exists(tree, folder, path),
            format!("the link to {path} leads nowhere"),
        ),
    };
    (!holds).then_some(problem)
}

/// Names of recipes: an unindented word, its parameters, then a colon that does
/// not belong to an assignment.
fn recipes(justfile: &str) -> BTreeSet<&str> {
    justfile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| {
            let (head, rest) = line.split_once(':')?;
            (!rest.starts_with('=')).then(|| head.split_whitespace().next())?
        })
        .collect()
}

fn parse(list: &str) -> BTreeMap<&str, &str> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUSTFILE: &str =
        "target := env(\"X\", \"y\")\n# Test\ntest: lint\n    cargo test\ndemo *args: build\n";

    fn problems(text: &str, exceptions: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("just", ""),
            ("justfile", JUSTFILE),
            ("docs/guide.md", text),
            ("host/core/src/lib.rs", ""),
            ("handlers/order/handler.toml", ""),
            ("handlers/audit/handler.toml", ""),
        ]);
        let found = violations(&tree, exceptions);
        found.iter().map(Violation::to_string).collect()
    }

    fn fine(text: &str) {
        assert_eq!(problems(text, ""), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn a_missing_path_recipe_and_link_are_reported_with_their_line() {
        assert_eq!(
            problems("a\n`host/gone`", ""),
            ["docs/guide.md:2: there is no `host/gone`"]
        );
        assert_eq!(
            problems("`./just tset`", ""),
            ["docs/guide.md:1: there is no recipe `tset`"]
        );
        assert_eq!(
            problems("```\n$ ./just target\n```", ""),
            ["docs/guide.md:2: there is no recipe `target`"]
        );
        assert_eq!(problems("    ./just tset # try", "").len(), 1);
        assert_eq!(
            problems("[x](gone.md#a)", ""),
            ["docs/guide.md:1: the link to gone.md leads nowhere"]
        );
        assert_eq!(problems("`gone.rs`", "").len(), 1);
        assert_eq!(problems("`handlers/{order,gone}`", "").len(), 1);
        assert_eq!(problems("`handlers/<name>/gone.toml`", "").len(), 1);
        assert_eq!(problems("`tools/gone --flag`", "").len(), 1);
    }

    #[test]
    fn what_exists_is_fine_however_it_is_written() {
        fine("`host/core`, `host/core/`, `host/core/src/lib.rs`, `lib.rs`, `./host/core`");
        fine("`handlers/<name>/handler.toml`, `handlers/*`, `handlers/{order,audit}`");
        fine("`./just test`, `just demo --hold`, `./just`, `just --list`");
        fine("`target/debug/wharf` and [this](guide.md) and [that](../host/core/src/lib.rs)");
    }

    #[test]
    fn what_is_no_path_of_the_checkout_is_left_alone() {
        fine(
            "`/api/v1`, `GET /health`, `https://a.b/c`, `text/plain`, `a = b/c`, `{aggregate}/{id}`",
        );
        fine("[web](https://a.b/c) [here](#below)");
        fine("```\nhost/gone\n```");
    }

    #[test]
    fn an_exception_is_needed_by_a_document() {
        assert_eq!(
            problems("`wharf.toml`", "wharf.toml the reader writes it"),
            Vec::<String>::new()
        );
        assert_eq!(
            problems("", "wharf.toml the reader writes it"),
            ["house/allow/documents.txt: no document names wharf.toml"]
        );
    }
}

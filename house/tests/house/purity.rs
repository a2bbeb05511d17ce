//! `host/core` decides and does nothing else: it names no clock, thread, lock,
//! channel or IO, nothing asynchronous, and no map with an order of its own
//! making, because each of these would make one seed give two runs.

use crate::tree::Tree;
use crate::{Violation, source};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The folder that the rule is about.
pub const PURE: &str = "host/core/src/";

/// Names that must not occur, each with what to do instead.
const NAMES: &[(&str, &str)] = &[
    ("SystemTime", "take `now` as an argument"),
    ("Instant", "take `now` as an argument"),
    ("HashMap", "use BTreeMap, whose order is the keys' own"),
    ("HashSet", "use BTreeSet, whose order is the keys' own"),
    ("RandomState", "use an ordered map"),
    ("Mutex", "take `&mut`"),
    ("RwLock", "take `&mut`"),
    ("Arc", "take a reference"),
    ("mpsc", "return the actions as a value"),
    ("TcpListener", "leave IO to the caller; addresses are fine"),
    ("TcpStream", "leave IO to the caller; addresses are fine"),
    (
        "ToSocketAddrs",
        "leave name look-ups to the caller; addresses are fine",
    ),
    ("UdpSocket", "leave IO to the caller; addresses are fine"),
];

/// Modules of `std` that do something, or ask the machine.
const MODULES: &[&str] = &["env", "fs", "io", "process", "thread"];

/// Uses of what the core must not know; and an empty core, in which nothing
/// could be found.
pub fn violations(tree: &Tree) -> Vec<Violation> {
    let files: Vec<_> = tree
        .rust_files()
        .filter(|(path, _)| path.starts_with(PURE) && !source::is_test_path(path))
        .collect();
    if files.is_empty() {
        return vec![Violation::new(PURE, "has no source to look at")];
    }
    files
        .into_iter()
        .flat_map(|(path, text)| file_violations(path, text))
        .collect()
}

fn file_violations(path: &str, text: &str) -> Vec<Violation> {
    let Ok(file) = syn::parse_file(text) else {
        return vec![Violation::new(path, "is not parsable as Rust")];
    };
    let mut scan = Scan {
        path,
        found: Vec::new(),
    };
    scan.visit_file(&source::production(file));
    scan.found
}

struct Scan<'a> {
    path: &'a str,
    found: Vec<Violation>,
}

impl Scan<'_> {
    fn report(&mut self, ident: &Ident, problem: String) {
        let place = format!("{}:{}", self.path, ident.span().start().line);
        self.found.push(Violation::new(place, problem));
    }

    fn name(&mut self, ident: &Ident) {
        if let Some((name, instead)) = NAMES.iter().find(|(name, _)| ident == name) {
            self.report(ident, format!("the core must not use {name}: {instead}"));
        }
    }

    /// `std::fs` in a path, however long.
    fn module(&mut self, parent: &Ident, child: &Ident) {
        let named = MODULES.iter().any(|module| child == module);
        if parent == "std" && named {
            self.report(
                child,
                format!("the core must not use std::{child}: it decides, its caller acts"),
            );
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => self.name(&ident),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// The modules named directly below a `use std::…`.
    fn children(&mut self, parent: &Ident, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => self.module(parent, &path.ident),
            syn::UseTree::Name(name) => self.module(parent, &name.ident),
            syn::UseTree::Rename(rename) => self.module(parent, &rename.ident),
            syn::UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|item| self.children(parent, item)),
            syn::UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        self.name(ident);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let idents: Vec<&Ident> = path.segments.iter().map(|segment| &segment.ident).collect();
        for pair in idents.windows(2) {
            self.module(pair[0], pair[1]);
        }
        visit::visit_path(self, path);
    }

    fn visit_use_path(&mut self, path: &'ast syn::UsePath) {
        self.children(&path.ident, &path.tree);
        visit::visit_use_path(self, path);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.tokens(node.tokens.clone());
        visit::visit_macro(self, node);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.report(
                &signature.ident,
                "the core must not be async: it decides, its caller waits".to_owned(),
            );
        }
        visit::visit_signature(self, signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = violations(&Tree::of(&[("host/core/src/a.rs", text)]));
        found
            .into_iter()
            .map(|violation| violation.problem)
            .collect()
    }

    #[test]
    fn each_way_to_name_a_clock_a_map_or_io_is_reported() {
        for text in [
            "fn f() { let t = std::time::Instant::now(); }",
            "use std::time::{Duration, SystemTime};",
            "struct S { m: HashMap<u8, u8> }",
            "fn f() { assert!(Instant::now() > start); }",
            "use std::{fmt, fs};",
            "use std::io as i;",
            "fn f() { std::thread::sleep(d); }",
            "async fn f() {}",
            "use std::net::{SocketAddr, TcpStream};",
        ] {
            assert_eq!(problems(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn comments_strings_tests_and_ordered_maps_are_fine() {
        let text = "/// Not a HashMap.
             use std::collections::BTreeMap; use std::time::Duration;
             const WORD: &str = \"Instant\";
             #[cfg(test)] mod tests { use std::collections::HashMap; }";
        assert_eq!(problems(text), Vec::<String>::new());
    }

    #[test]
    fn a_core_without_source_is_a_violation_and_not_a_success() {
        assert_eq!(violations(&Tree::of(&[])).len(), 1);
    }
}

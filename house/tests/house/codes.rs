//! Every code that an operator can meet has a page that says what happened, why
//! and what to do; every page belongs to a code.

use crate::tree::Tree;
use crate::{Violation, source};
use std::collections::BTreeMap;

const PAGES: &str = "docs/errors/";
const DIGITS: usize = 4;

/// Codes without a page, pages without a code, pages that do not begin with
/// their code as title; and a tree without any code, where the rule would hold
/// for want of anything to look at.
pub fn violations(tree: &Tree) -> Vec<Violation> {
    let declared = declared(tree);
    if declared.is_empty() {
        let problem = "no error code is declared in host/ or demo/ (a string literal such as WH and four digits)";
        return vec![Violation::new("host", problem)];
    }
    let without_page = declared.iter().filter_map(|(code, place)| {
        let page = format!("{PAGES}{code}.md");
        let problem = format!("{code} has no page {page}");
        tree.text(&page)
            .is_none()
            .then(|| Violation::new(place, problem))
    });
    let pages = tree.files().filter(|(path, _)| path.starts_with(PAGES));
    let bad_pages = pages.filter_map(|(path, text)| page_violation(path, text, &declared));
    without_page.chain(bad_pages).collect()
}

fn page_violation(
    path: &str,
    text: &str,
    declared: &BTreeMap<String, String>,
) -> Option<Violation> {
    let name = path.strip_prefix(PAGES)?.strip_suffix(".md")?;
    if name == "README" {
        return None;
    }
    if !declared.contains_key(name) {
        return Some(Violation::new(path, "no source declares this code"));
    }
    let titled = text.starts_with(&format!("# {name}"));
    (!titled).then(|| Violation::new(path, format!("the page does not begin with `# {name}`")))
}

/// Codes in the string literals of code that ships, each with one place.
fn declared(tree: &Tree) -> BTreeMap<String, String> {
    let mut codes = BTreeMap::new();
    let shipped = tree.rust_files().filter(|(path, _)| {
        let of_host = path.starts_with("host/") || path.starts_with("demo/");
        of_host && !source::is_test_path(path)
    });
    for (path, text) in shipped {
        let Ok(file) = syn::parse_file(text) else {
            continue; // the compiler says so, better
        };
        for (line, literal) in source::literals_of(source::production(file)) {
            for code in codes_in(&literal) {
                codes
                    .entry(code)
                    .or_insert_with(|| format!("{path}:{line}"));
            }
        }
    }
    codes
}

/// Each `WH` with exactly four digits behind it.
fn codes_in(literal: &str) -> Vec<String> {
    let found = literal.match_indices("WH").filter_map(|(at, _)| {
        let rest = &literal[at + 2..];
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        (digits == DIGITS).then(|| format!("WH{}", &rest[..DIGITS]))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: (&str, &str) = (
        "host/wharf/src/codes.rs",
        "pub const A: &str = \"WH0001\"; fn f() { say!(\"see WH0002: {}\", 1) } // WH0009
         #[cfg(test)] mod tests { const B: &str = \"WH0003\"; }",
    );

    fn problems(pages: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = pages.iter().copied().chain([SOURCE]).collect();
        let found = violations(&Tree::of(&files));
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_code_without_a_page_is_reported_where_it_is_declared() {
        let found = problems(&[("docs/errors/WH0001.md", "# WH0001 Refused\n")]);
        assert_eq!(
            found,
            ["host/wharf/src/codes.rs:1: WH0002 has no page docs/errors/WH0002.md"]
        );
    }

    #[test]
    fn a_page_without_a_code_and_a_page_with_another_title_are_reported() {
        let found = problems(&[
            ("docs/errors/WH0001.md", "# WH0001 Refused\n"),
            ("docs/errors/WH0002.md", "# Something\n"),
            ("docs/errors/WH0003.md", "# WH0003 Only a test has it\n"),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("does not begin with `# WH0002`"));
        assert!(found[1].contains("no source declares"));
    }

    #[test]
    fn a_tree_without_codes_is_a_violation_and_not_a_success() {
        assert_eq!(violations(&Tree::of(&[("host/a.rs", "")])).len(), 1);
    }
}

//! Nothing unfinished stays in the tree: no promise of later work, no debugging
//! print, no test that is skipped.

use crate::Violation;
use crate::tree::{Tree, has_extension};

/// Words of unfinished work, in any file. Written in halves, since this file is
/// read by its own rule.
const WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// What must not be in Rust source besides.
const RUST: &[&str] = &[
    concat!("to", "do!"),
    concat!("un", "implemented!"),
    concat!("db", "g!"),
    concat!("#[", "ignore"),
];

/// Every leftover, with its line.
pub fn violations(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| *path != "Cargo.lock") {
        let rust = if has_extension(path, "rs") { RUST } else { &[] };
        for (number, line) in text.lines().enumerate() {
            for word in WORDS.iter().chain(rust).filter(|word| holds(line, word)) {
                found.push(Violation::new(
                    format!("{path}:{}", number + 1),
                    format!("`{word}` is left over: finish it, or open an issue and take it out"),
                ));
            }
        }
    }
    found
}

/// Whether `line` has `word` on its own, not as part of a longer name.
fn holds(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined_after = word.ends_with(is_name) && after.is_some_and(is_name);
        !before.is_some_and(is_name) && !joined_after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leftover_is_found_with_its_line() {
        for word in WORDS {
            let tree = Tree::of(&[("docs/a.md", &format!("fine\n<!-- {word}: later -->"))]);
            let found = violations(&tree);
            assert_eq!(found.len(), 1, "{word}");
            assert_eq!(found[0].place, "docs/a.md:2");
        }
        for word in RUST {
            let tree = Tree::of(&[("a.rs", word)]);
            assert_eq!(violations(&tree).len(), 1, "{word}");
        }
    }

    #[test]
    fn a_longer_name_is_not_a_leftover() {
        let name = format!("MASTO{}S and {}_LIST", "DON", concat!("TO", "DO"));
        assert_eq!(violations(&Tree::of(&[("a.rs", &name)])), []);
    }
}

//! Each interleaving that was found by attacking the design, and that concerns
//! what is built, has a test of its own that carries its number.

use crate::tree::Tree;
use crate::{Violation, source};
use std::collections::BTreeSet;

/// The numbers that must have a test by now. One that is built later is added
/// here together with its test.
pub const BUILT: &[u32] = &[
    1, 3, 4, 5, 9, 11, 12, 13, 16, 17, 18, 20, 21, 22, 24, 28, 29, 30, 31, 32, 34, 35, 36, 38,
];

/// The numbers of `wanted` for which no test function named
/// `interleaving_<number>_<what happens>` exists.
pub fn violations(tree: &Tree, wanted: &[u32]) -> Vec<Violation> {
    let tested = tested(tree);
    let missing = wanted.iter().filter(|number| !tested.contains(number));
    missing
        .map(|number| {
            let place = format!("interleaving {number}");
            Violation::new(
                place,
                format!("no test is named interleaving_{number:02}_…"),
            )
        })
        .collect()
}

fn tested(tree: &Tree) -> BTreeSet<u32> {
    tree.rust_files()
        .filter(|(_, text)| text.contains("interleaving_"))
        .filter_map(|(_, text)| syn::parse_file(text).ok())
        .flat_map(|file| source::functions(&file))
        .filter(|function| function.is_test)
        .filter_map(|function| number_of(&function.name))
        .collect()
}

/// The number in `interleaving_07_lost_answer`: digits, then a name.
fn number_of(name: &str) -> Option<u32> {
    let (digits, rest) = name.strip_prefix("interleaving_")?.split_once('_')?;
    if rest.is_empty() {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_test_function_is_reported() {
        let tree = Tree::of(&[(
            "host/wharf/tests/a.rs",
            "#[test] fn interleaving_03_lost_answer() {}
             #[tokio::test] async fn interleaving_4_two_owners() {}
             fn interleaving_05_a_helper_is_no_test() {}
             // interleaving_09_a_comment_is_no_test
             #[test] fn interleaving_13_() {}",
        )]);
        let places: Vec<String> = violations(&tree, &[3, 4, 5, 9, 13])
            .into_iter()
            .map(|violation| violation.place)
            .collect();
        assert_eq!(
            places,
            ["interleaving 5", "interleaving 9", "interleaving 13"]
        );
    }
}

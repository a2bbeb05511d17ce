//! Every member of the workspace takes its lints, edition and licence from the
//! workspace, and its dependencies' versions and features too, so that one
//! build of each dependency serves all.

use crate::Violation;
use crate::tree::Tree;

/// Lines that a member's manifest must have; the second spelling of each is as
/// good as the first.
const WANTED: &[[&str; 2]] = &[
    ["[lints]\nworkspace=true", "lints.workspace=true"],
    ["edition.workspace=true", "edition={workspace=true}"],
    ["license.workspace=true", "license={workspace=true}"],
];

/// Members that miss one of the shared settings, or name a version themselves.
/// Fixtures that tests build are workspaces of their own, and no members.
pub fn violations(tree: &Tree) -> Vec<Violation> {
    let members = tree.files().filter(|(path, text)| {
        let is_package = path.ends_with("/Cargo.toml") && text.contains("[package]");
        is_package && !path.contains("/fixtures/")
    });
    members
        .flat_map(|(path, text)| member_violations(path, text))
        .collect()
}

fn member_violations(path: &str, text: &str) -> Vec<Violation> {
    let bare = text.replace(' ', "");
    let unshared = WANTED
        .iter()
        .filter(|spellings| spellings.iter().all(|wanted| !bare.contains(wanted)))
        .map(|[wanted, _]| {
            let wanted = wanted.replace('\n', " ");
            Violation::new(path, format!("does not say {wanted}"))
        });
    unshared.chain(own_versions(path, &bare)).collect()
}

/// Dependencies of a member that do not say `workspace = true`.
fn own_versions(path: &str, bare: &str) -> Vec<Violation> {
    let mut in_dependencies = false;
    let mut found = Vec::new();
    for (number, line) in bare.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies && line.contains('=') && !line.contains("workspace=true") {
            let place = format!("{path}:{}", number + 1);
            let problem = "takes a dependency on its own: name it in the root's \
                           [workspace.dependencies] and say workspace = true";
            found.push(Violation::new(place, problem));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nedition.workspace = true\nlicense.workspace = true\n\
                        [lints]\nworkspace = true\n[dependencies]\nbytes.workspace = true\n";

    fn problems(manifest: &str) -> Vec<String> {
        let tree = Tree::of(&[("demo/Cargo.toml", manifest)]);
        let found = violations(&tree);
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_member_that_shares_everything_is_fine() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_member_without_the_lints_is_reported() {
        let found = problems(&GOOD.replace("[lints]", "[other]"));
        assert_eq!(
            found,
            ["demo/Cargo.toml: does not say [lints] workspace=true"]
        );
    }

    #[test]
    fn a_version_of_its_own_is_reported_with_its_line() {
        let found = problems(&format!("{GOOD}sha2 = \"0.10\"\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("demo/Cargo.toml:8: takes a dependency on its own"));
    }
}

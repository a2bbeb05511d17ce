//! Whether a path with placeholders matches something in the tree.

use crate::tree::Tree;

/// Whether `path`, seen from `folder`, is a file or a folder of the tree, in
/// every alternative that it spells out; or is made by a build or a run. A name
/// without a folder may be anywhere.
pub(super) fn exists(tree: &Tree, folder: &str, path: &str) -> bool {
    alternatives(path).iter().all(|path| {
        let Some(wanted) = normal(folder, path) else {
            return false;
        };
        let anywhere = !path.contains('/');
        wanted.first().is_some_and(|first| tree.is_generated(first))
            || tree
                .files()
                .any(|(file, _)| matches(file, &wanted, anywhere))
    })
}

/// Whether the first parts of `file` are the wanted ones.
fn matches(file: &str, wanted: &[String], anywhere: bool) -> bool {
    let parts: Vec<&str> = file.split('/').collect();
    let fits = |parts: &[&str]| {
        parts.len() >= wanted.len()
            && parts
                .iter()
                .zip(wanted)
                .all(|(part, pattern)| glob(part, pattern))
    };
    fits(&parts)
        || anywhere
            && wanted
                .last()
                .is_some_and(|pattern| parts.iter().any(|part| glob(part, pattern)))
}

/// `a/{b,c}` as `a/b` and `a/c`; one pair of braces is enough for documents.
fn alternatives(path: &str) -> Vec<String> {
    let braces = path.split_once('{').and_then(|(head, rest)| {
        let (inner, tail) = rest.split_once('}')?;
        Some((head, inner, tail))
    });
    match braces {
        Some((head, inner, tail)) if inner.contains(',') => {
            let each = inner.split(',').map(str::trim);
            each.map(|choice| format!("{head}{choice}{tail}")).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// The parts of `path` below the root; none when it leaves the checkout.
fn normal(folder: &str, path: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(wildcard(part)),
        }
    }
    Some(parts)
}

/// Placeholders `<x>`, `{x}` and `…` as `*`.
fn wildcard(part: &str) -> String {
    let mut pattern = String::new();
    let mut depth = 0_u32;
    for c in part.chars() {
        match c {
            '<' | '{' => depth += 1,
            '>' | '}' => {
                depth = depth.saturating_sub(1);
                pattern.push('*');
            }
            '…' => pattern.push('*'),
            _ if depth == 0 => pattern.push(c),
            _ => {}
        }
    }
    pattern
}

/// Whether `text` fits `pattern`, in which `*` is any text.
fn glob(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| glob(&text[at..], rest))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_the_rest_must_fit() {
        assert!(glob("handler.toml", "*.toml"));
        assert!(glob("0001-records.md", "0001-*"));
        assert!(!glob("handler.toml", "*.rs"));
        assert!(!glob("xhandler", "handler"));
    }

    #[test]
    fn a_path_that_leaves_the_checkout_matches_nothing() {
        let tree = Tree::of(&[("a/b.md", "")]);
        assert!(exists(&tree, "a", "../a/b.md"));
        assert!(!exists(&tree, "a", "../../a/b.md"));
    }
}

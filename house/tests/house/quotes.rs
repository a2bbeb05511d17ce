//! Code that a document quotes is the code that is there.
//!
//! A block of Rust whose paragraph before it names a Rust file in back-ticks
//! quotes that file: each of its lines stands in there, in this order. A line
//! of `// …` stands for what was left out.

use crate::Violation;
use crate::tree::{Tree, has_extension};

/// Lines of quotations that the named file does not hold.
pub fn violations(tree: &Tree) -> Vec<Violation> {
    let documents = tree.files().filter(|(path, _)| has_extension(path, "md"));
    documents
        .flat_map(|(path, text)| of_document(tree, path, text))
        .collect()
}

fn of_document(tree: &Tree, path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut named: Option<&str> = None;
    let mut rest: Option<std::str::Lines<'_>> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match &mut rest {
            Some(_) if line.trim() == "```" => {
                rest = None;
                named = None;
            }
            Some(_) if line.trim().is_empty() || line.trim() == "// …" => {}
            Some(code) => {
                if !code.any(|written| written.trim() == line.trim()) {
                    let source = named.unwrap_or_default();
                    let problem =
                        format!("`{source}` does not say, at that place: {}", line.trim());
                    found.push(Violation::new(format!("{path}:{number}"), problem));
                    rest = None;
                }
            }
            None if line.trim() == "```rust" => {
                rest = named.and_then(|named| tree.text(named)).map(str::lines);
            }
            None if line.trim().is_empty() => {}
            None => named = rust_file(line),
        }
    }
    found
}

fn rust_file(line: &str) -> Option<&str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .find(|text| has_extension(text, "rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(block: &str) -> Vec<String> {
        let document = format!("From `a/lib.rs`, the heart:\n\n```rust\n{block}\n```\n");
        let code = "fn a() {\n    one();\n    two();\n    three();\n}\n";
        let tree = Tree::of(&[("README.md", &document), ("a/lib.rs", code)]);
        violations(&tree).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_line_that_is_not_there_is_reported_and_what_is_left_out_is_not() {
        assert_eq!(
            problems("fn a() {\n    one();\n    // …\n    three();\n}"),
            [""; 0]
        );
        assert_eq!(
            problems("fn a() {\n    four();"),
            ["README.md:5: `a/lib.rs` does not say, at that place: four();"]
        );
        assert_eq!(
            problems("    two();\n    one();").len(),
            1,
            "the order counts"
        );
    }

    #[test]
    fn code_of_no_file_is_left_alone() {
        let tree = Tree::of(&[("README.md", "As in:\n\n```rust\nnot_there();\n```\n")]);
        assert_eq!(violations(&tree), []);
    }
}

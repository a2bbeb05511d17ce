//! Functions and files stay readable in one go. Exceptions are listed one by
//! one with the size they have; the list only ever shrinks.

use crate::tree::Tree;
use crate::{Violation, source};
use std::collections::BTreeMap;

/// Most lines of a function, from `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Most lines of a file, those compiled for tests only not counted.
pub const FILE_LINES_MAX: usize = 500;

/// What is larger than its bound or its exception, and exceptions that nothing
/// needs. The list has a line for each exception: path, function (`-` for the
/// file itself), lines, reason; `#` begins a comment.
pub fn violations(tree: &Tree, exceptions: &str) -> Vec<Violation> {
    let mut exceptions = match parse(exceptions) {
        Ok(exceptions) => exceptions,
        Err(violation) => return vec![violation],
    };
    let mut found = Vec::new();
    for (path, text) in tree.rust_files() {
        let Ok(file) = syn::parse_file(text) else {
            found.push(Violation::new(path, "is not parsable as Rust"));
            continue;
        };
        for measure in measures(path, text, &file) {
            let exception = exceptions.remove(&(path.to_owned(), measure.name.clone()));
            found.extend(measure.judge(path, exception));
        }
    }
    let unused = exceptions.into_keys().map(|(path, name)| {
        Violation::new(path, format!("the exception for {name} names nothing"))
    });
    found.extend(unused);
    found
}

/// The size of a function or file, against its bound.
struct Measure {
    name: String,
    line: usize,
    lines: usize,
    max: usize,
}

impl Measure {
    fn judge(&self, path: &str, exception: Option<usize>) -> Option<Violation> {
        let Self {
            name,
            line,
            lines,
            max,
        } = self;
        let problem = match exception {
            None if lines > max => {
                format!("{name} has {lines} lines, {max} at most: look for the second noun or verb")
            }
            Some(allowed) if lines > &allowed => {
                format!("{name} has {lines} lines and grew past its exception of {allowed}")
            }
            Some(allowed) if lines < &allowed => {
                format!("{name} has {lines} lines: tighten or drop its exception of {allowed}")
            }
            None | Some(_) => return None,
        };
        Some(Violation::new(format!("{path}:{line}"), problem))
    }
}

fn measures(path: &str, text: &str, file: &syn::File) -> Vec<Measure> {
    let mut measures: Vec<Measure> = source::functions(file)
        .into_iter()
        .map(|function| Measure {
            name: function.name,
            line: function.line,
            lines: function.lines,
            max: FUNCTION_LINES_MAX,
        })
        .collect();
    if !source::is_test_path(path) {
        measures.push(Measure {
            name: "-".to_owned(),
            line: 1,
            lines: text.lines().count() - source::test_lines(file),
            max: FILE_LINES_MAX,
        });
    }
    measures
}

type Exceptions = BTreeMap<(String, String), usize>;

fn parse(list: &str) -> Result<Exceptions, Violation> {
    let mut exceptions = Exceptions::new();
    for (number, line) in list.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (path, name, lines, reason) = (words.next(), words.next(), words.next(), words.next());
        let lines = lines.and_then(|lines| lines.parse().ok());
        let (Some(path), Some(name), Some(lines), Some(_)) = (path, name, lines, reason) else {
            let place = format!("house/allow/sizes.txt:{}", number + 1);
            return Err(Violation::new(
                place,
                "an exception is: path, function or -, lines, reason",
            ));
        };
        exceptions.insert((path.to_owned(), name.to_owned()), lines);
    }
    Ok(exceptions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    fn problems(text: &str, exceptions: &str) -> Vec<String> {
        let found = violations(&Tree::of(&[("host/a.rs", text)]), exceptions);
        found.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_function_one_line_over_the_bound_is_reported_and_one_at_the_bound_is_not() {
        assert_eq!(problems(&function(70), ""), Vec::<String>::new());
        let found = problems(&function(71), "");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("host/a.rs:1: long has 71 lines"),
            "{found:?}"
        );
    }

    #[test]
    fn a_file_over_the_bound_is_reported_and_its_test_module_does_not_count() {
        let constants = "const A: u8 = 1;\n".repeat(500);
        let tests = "#[cfg(test)]\nmod tests {\n}\n";
        assert_eq!(
            problems(&format!("{constants}{tests}"), ""),
            Vec::<String>::new()
        );
        let found = problems(&format!("{constants}use a;\n{tests}"), "");
        assert!(
            found[0].starts_with("host/a.rs:1: - has 501 lines"),
            "{found:?}"
        );
    }

    #[test]
    fn an_exception_holds_for_exactly_its_size_and_must_be_needed() {
        assert_eq!(
            problems(&function(80), "host/a.rs long 80 a table"),
            Vec::<String>::new()
        );
        assert!(problems(&function(81), "host/a.rs long 80 a table")[0].contains("grew past"));
        assert!(problems(&function(79), "host/a.rs long 80 a table")[0].contains("tighten"));
        assert!(problems("", "host/a.rs gone 80 a table")[0].contains("names nothing"));
        assert!(problems("", "host/a.rs long 80")[0].contains("an exception is"));
    }
}

//! Problems of one file, and where in its text they are.

use std::ops::Range;

use super::{Code, Mark, Problem, Sink};

/// Bytes of a file.
pub(crate) type Span = Range<usize>;

/// Collects the problems of one file.
pub(crate) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    problems: Sink,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self {
            file,
            text,
            lines,
            problems: Sink::default(),
        }
    }

    /// Adds a problem at the beginning of `span`.
    pub fn add(
        &self,
        span: &Span,
        code: Code,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let Mark { line, column } = self.place(span);
        let (message, remedy) = (message.into(), remedy.into());
        let file = self.file.to_owned();
        self.problems.borrow_mut().push(Problem {
            file,
            line,
            column,
            code,
            message,
            remedy,
        });
    }

    /// Line and column of a span's beginning.
    pub fn place(&self, span: &Span) -> Mark {
        let at = self.text.floor_char_boundary(span.start);
        let line = self.lines.partition_point(|start| *start <= at);
        let column = self.text[self.lines[line - 1]..at].chars().count() + 1;
        Mark {
            line: small(line),
            column: small(column),
        }
    }

    /// All problems in order of position. When the file is not TOML, only those
    /// that stand by themselves, and none on a line that could not be read.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        let broken: Vec<u32> = problems
            .iter()
            .filter(|p| p.code == Code::Syntax)
            .map(|p| p.line)
            .collect();
        if !broken.is_empty() {
            problems.retain(|p| {
                p.code == Code::Syntax || (p.code.stands_alone() && !broken.contains(&p.line))
            });
        }
        problems.sort_by(|a, b| {
            (a.line, a.column, a.code, &a.message).cmp(&(b.line, b.column, b.code, &b.message))
        });
        // Rules open tables again, and find their unknown keys again.
        problems.dedup();
        problems
    }
}

/// Files are at most [`super::FILE_BYTES_MAX`] long.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

//! Helpers of the tests of all configuration files.

use std::fmt::Debug;

use super::{Code, Problem};

/// Line and code of every problem.
#[track_caller]
pub fn found<T: Debug>(result: Result<T, Vec<Problem>>) -> Vec<(u32, Code)> {
    let problems = result.expect_err("the file is expected to have problems");
    for problem in &problems {
        assert!(
            !problem.message.is_empty() && !problem.remedy.is_empty(),
            "{problem:?}"
        );
        assert!(problem.line > 0 && problem.column > 0, "{problem:?}");
    }
    problems
        .iter()
        .map(|problem| (problem.line, problem.code))
        .collect()
}

/// The keys in back-ticks that begin the rows of the tables of a document.
pub fn documented(document: &str) -> Vec<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect()
}

/// One assignment of a value that no key takes, for every key of a list.
pub fn absurd(key: &str) -> String {
    let name = |part: &str| {
        if part.len() == 1 && part != "a" {
            "zz".to_owned()
        } else {
            part.to_owned()
        }
    };
    let path: Vec<String> = key.split('.').map(name).collect();
    format!("{} = [[]]\n", path.join("."))
}

/// A small generator with a seed, so that a failure can be repeated.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

const SCRAPS: &[&str] = &[
    "\n",
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\u0000",
    "\u{7f}",
    "é",
    "𝄞",
    "-1",
    "99999999999999999999",
    "1e400",
    "nan",
    "0x",
    "true",
    "1979-05-27T07:32:00Z",
    "\"\"\"",
    "a.b.c.d",
    "%",
    "${secret:",
    "{key}",
    "*",
    ">",
    " ",
    "[limits]\n",
    "[[on]]\n",
    "= = ",
    "\r",
    "\t",
    "5xx",
];

/// A text with a few random cuts, copies and insertions.
pub fn mutated(text: &str, rng: &mut Rng) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=rng.below(6) {
        let at = rng.below(chars.len() + 1);
        let end = (at + rng.below(24)).min(chars.len());
        match rng.below(4) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let copy = chars[at..end].to_vec();
                let to = rng.below(chars.len() + 1);
                chars.splice(to..to, copy);
            }
            _ => {
                let scrap = SCRAPS[rng.below(SCRAPS.len())];
                chars.splice(at..at, scrap.chars());
            }
        }
    }
    chars.into_iter().collect()
}

//! YAML as the cluster's tools read it, with the line of each value.
//!
//! They read YAML 1.1, where `on` is true and `0440` is octal; today's parsers
//! read 1.2, where neither is. What means different things to the two is refused.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use crate::Problem;

/// A value and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name == key);
        found.map(|(_, node)| node)
    }

    /// The value below a path of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    pub fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The items of the list below a path.
    pub fn items_at(&self, path: &[&str]) -> &[Self] {
        self.at(path).map_or(&[], Self::items)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(Self::text)
    }

    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }

    pub fn integer_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Self::integer)
    }

    pub fn is_at(&self, path: &[&str], wanted: bool) -> bool {
        self.at(path)
            .is_some_and(|node| node.value == Value::Bool(wanted))
    }
}

/// The documents of a file; empty ones are left out.
///
/// # Errors
/// The first place that cannot be read, or that is read in two ways.
pub fn parse(file: &str, text: &str) -> Result<Vec<Node>, Problem> {
    let mut reader = Reader {
        file,
        events: Parser::new_from_str(text),
    };
    let mut documents = Vec::new();
    loop {
        let (event, mark) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            other => documents.push(reader.node(other, mark)?),
        }
        documents.retain(|document| document.value != Value::Null);
    }
}

struct Reader<'a> {
    file: &'a str,
    events: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Marker), Problem> {
        match self.events.next() {
            Some(Ok((event, span))) => Ok((event, span.start)),
            Some(Err(error)) => Err(self.problem(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, mark: Marker) -> Result<Node, Problem> {
        let value = match event {
            Event::Scalar(text, style, _, None) => {
                scalar(&text, style).map_err(|why| self.problem(mark, why))?
            }
            Event::SequenceStart(_, None) => self.list()?,
            Event::MappingStart(_, None) => self.map()?,
            Event::Alias(_) => return Err(self.problem(mark, "an alias: write the value")),
            other => return Err(self.problem(mark, format!("not understood: {other:?}"))),
        };
        let line = mark.line();
        Ok(Node { line, value })
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, mark) => items.push(self.node(event, mark)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Problem> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let (key, mark) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(key, ..), mark) => (key.into_owned(), mark),
                (_, mark) => return Err(self.problem(mark, "a key that is not text")),
            };
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(self.problem(mark, format!("`{key}` stands here twice")));
            }
            let (event, mark) = self.next()?;
            entries.push((key, self.node(event, mark)?));
        }
    }

    fn problem(&self, mark: Marker, what: impl Into<String>) -> Problem {
        Problem::new(format!("{}:{}", self.file, mark.line()), what)
    }
}

/// A scalar as both versions of YAML read it.
fn scalar(text: &str, style: ScalarStyle) -> Result<Value, &'static str> {
    if style != ScalarStyle::Plain {
        return Ok(Value::Text(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ if is_switch(text) => {
            return Err("true or false to some readers: quote it, or write that");
        }
        _ => number(text)?.unwrap_or_else(|| Value::Text(text.to_owned())),
    })
}

/// What YAML 1.1 takes for a truth value and YAML 1.2 does not.
fn is_switch(text: &str) -> bool {
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn number(text: &str) -> Result<Option<Value>, &'static str> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(None);
    }
    let only = |also: &str| {
        digits
            .chars()
            .all(|c| c.is_ascii_digit() || also.contains(c))
    };
    let is_octal = digits.len() > 1 && digits.starts_with('0') && only("_");
    if is_octal
        || digits.starts_with("0o")
        || digits.starts_with("0x")
        || digits.contains('_') && only("_")
    {
        return Err("a number to some readers and another to others: write it in decimal");
    }
    if digits.contains(':') && only(":") {
        return Err("a number of minutes to some readers: quote it");
    }
    if let Ok(integer) = text.parse() {
        return Ok(Some(Value::Integer(integer)));
    }
    let float = only(".eE+-").then(|| text.parse().ok()).flatten();
    Ok(float.map(Value::Float))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse("a.yaml", text).expect_err("refused").to_string()
    }

    #[test]
    fn values_have_their_types_and_lines() {
        let text = "a: 1\nb:\n  - x\n  - {c: true, d: 1.5, e: ~, f: \"1\"}\n---\n# nothing\n---\ng: 10.0.0.1\n";
        let documents = parse("a.yaml", text).expect("sound");
        assert_eq!(documents.len(), 2);
        let first = &documents[0];
        assert_eq!(first.integer_at(&["a"]), Some(1));
        let item = &first.items_at(&["b"])[1];
        assert_eq!(item.line, 4);
        assert!(item.is_at(&["c"], true));
        assert_eq!(
            item.at(&["d"]).map(|node| &node.value),
            Some(&Value::Float(1.5))
        );
        assert_eq!(item.at(&["e"]).map(|node| &node.value), Some(&Value::Null));
        assert_eq!(item.text_at(&["f"]), Some("1"));
        assert_eq!(documents[1].text_at(&["g"]), Some("10.0.0.1"));
    }

    #[test]
    fn what_readers_read_differently_is_refused_with_its_line() {
        assert!(problem("a: 1\nb: on\n").starts_with("a.yaml:2: true or false to some"));
        assert!(problem("mode: 0440\n").starts_with("a.yaml:1: a number to some"));
        assert!(problem("at: 12:30\n").starts_with("a.yaml:1: a number of minutes"));
    }

    #[test]
    fn a_key_that_stands_twice_and_broken_text_are_refused_with_their_line() {
        assert_eq!(
            problem("a: 1\nb: 2\na: 3\n"),
            "a.yaml:3: `a` stands here twice"
        );
        assert!(problem("a: [1\nb: 2\n").starts_with("a.yaml:"));
        assert!(problem("a: &x 1\nb: *x\n").starts_with("a.yaml:2: an alias"));
    }
}

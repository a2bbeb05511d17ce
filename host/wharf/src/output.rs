//! How commands answer: data on stdout, everything else on stderr.
//!
//! With `-o json` stdout holds one envelope, `{"ok": true, "data": …}` or
//! `{"ok": false, "error": …}`. A command that fails and still has something to
//! show puts it into `data` beside the error.

use std::fmt::Display;
use std::io::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::failure::Failure;
use crate::codes::Exit;

/// `-o`, on every command.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// How to print the answer.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document, the same shape for every command.
    Json,
}

/// What a command has to say when it ends.
#[derive(Debug, Default)]
pub struct Answer {
    text: String,
    data: Option<Value>,
    next: Option<String>,
    failure: Option<Failure>,
}

impl Answer {
    /// An answer that people read as `text` and programs as `data`.
    pub fn new(text: impl Display, data: &impl Serialize) -> Self {
        // Our own answers have string keys and finite numbers: nothing to refuse.
        let data = serde_json::to_value(data).unwrap_or(Value::Null);
        Self {
            text: text.to_string(),
            data: Some(data),
            next: None,
            failure: None,
        }
    }

    /// Nothing to show, because the command has said everything itself.
    pub fn silent() -> Self {
        Self::default()
    }

    /// A command worth running next.
    #[must_use]
    pub fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// The answer of a command that fails and has something to show.
    #[must_use]
    pub fn but(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }

    /// Prints it and says how the process ends. A closed pipe is nobody's error.
    pub fn print(self, format: Format) -> Exit {
        let exit = self
            .failure
            .as_ref()
            .map_or(Exit::Ok, |failure| failure.code.exit());
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        match format {
            Format::Json => {
                if let Some(envelope) = self.envelope() {
                    let _ = writeln!(out, "{envelope}");
                }
            }
            Format::Table => {
                if !self.text.is_empty() {
                    let _ = writeln!(out, "{}", self.text.trim_end());
                }
                if let Some(failure) = &self.failure {
                    let _ = writeln!(err, "{}", failure.shown());
                } else if let Some(next) = &self.next {
                    let _ = writeln!(err, "Next: {next}");
                }
            }
        }
        exit
    }

    fn envelope(&self) -> Option<Value> {
        let mut envelope = Map::new();
        envelope.insert("ok".to_owned(), Value::Bool(self.failure.is_none()));
        if let Some(data) = &self.data {
            envelope.insert("data".to_owned(), data.clone());
        }
        if let Some(failure) = &self.failure {
            envelope.insert("error".to_owned(), json!(failure));
        }
        (envelope.len() > 1).then_some(Value::Object(envelope))
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self {
            failure: Some(failure),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Code;

    #[test]
    fn an_envelope_holds_data_or_an_error_or_both() {
        let good = Answer::new("text", &json!({ "n": 1 }));
        assert_eq!(
            good.envelope(),
            Some(json!({ "ok": true, "data": { "n": 1 } }))
        );

        let failure = || Failure::new(Code::NotSettled, "two handlers are not done").place("order");
        let bad = Answer::from(failure())
            .envelope()
            .expect("there is an error to show");
        assert_eq!(bad["ok"], json!(false));
        assert_eq!(bad["error"]["code"], json!("WH0609"));
        assert_eq!(bad["error"]["place"], json!("order"));
        assert_eq!(bad["error"]["page"], json!("docs/errors/WH0609.md"));

        let both = Answer::new("", &json!(1))
            .but(Some(failure()))
            .envelope()
            .expect("there is something");
        assert!(both.get("data").is_some() && both.get("error").is_some());
        assert_eq!(Answer::silent().envelope(), None);
    }
}

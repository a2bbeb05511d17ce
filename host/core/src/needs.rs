//! `needs.toml` as checked values: where the needs of an environment are.
//!
//! A secret never stands in the file: `${secret:NAME}` is put in by the edge,
//! and neither guests nor logs see the result.

mod url;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::config::names::{HEADER, LABEL, SETTING, is_request_header};
use crate::config::{self, Code, Located, Problem, Table};

pub(crate) use url::is_address;
pub use url::{BaseUrl, UrlError};

/// Needs by name.
pub type Needs = BTreeMap<String, Need>;

/// Every key of `needs.toml`, as `docs/place.md` lists them. A single capital
/// letter stands for a name that the author chooses.
pub const KEYS: &[&str] = &[
    "needs.N.url",
    "needs.N.auth.header",
    "needs.N.auth.value",
    "needs.N.max_in_flight",
    "needs.N.breaker.failure_share",
    "needs.N.breaker.min_calls",
    "needs.N.breaker.window",
    "needs.N.breaker.consecutive",
    "needs.N.breaker.slow_call",
    "needs.N.breaker.slow_share",
    "needs.N.breaker.open",
    "needs.N.breaker.probes",
    "needs.N.breaker.ramp",
];

/// Most needs of an environment.
const NEEDS_MAX: usize = 256;

/// Where one need is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub url: BaseUrl,
    pub auth: Option<Auth>,
    /// Calls at once, of all handlers of a host together.
    pub max_in_flight: u32,
}

/// The credential that the host adds to each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Lower-case header name.
    pub header: String,
    pub value: Secretive,
}

/// A text with references to secrets. Its `Debug` shows their names and nothing
/// else, since what stands around them may be secret as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Secretive {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Secret(String),
}

/// Why a credential cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("there is no secret `{name}`")]
    MissingSecret { name: String },
    #[error(
        "with its secrets the value is no header value: visible ASCII only, without line breaks"
    )]
    NotAHeaderValue,
}

/// Reads a `needs.toml`. `file` is the name that problems carry.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn parse(file: &str, text: &str) -> Result<Needs, Vec<Problem>> {
    read(file, text).map(|needs| needs.value)
}

/// Like [`parse`], with the place of every key, for checks across files.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn read(file: &str, text: &str) -> Result<Located<Needs>, Vec<Problem>> {
    config::read(file, text, KEYS, |root| {
        let table = root.table("needs");
        table.at_most(NEEDS_MAX);
        let mut needs = Needs::new();
        for (name, inner) in table.named_tables() {
            table.name_fits(&name, &LABEL);
            breaker(&inner);
            if let Some(need) = need(&inner) {
                needs.insert(name.value.to_owned(), need);
            }
        }
        needs
    })
}

/// A need as `needs.toml` has it; what the registry keeps.
pub fn text(name: &str, need: &Need) -> String {
    // A string of JSON is one of TOML, for all that an address or a header holds.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut out = format!("[needs.{name}]\nurl = {}\n", quoted(need.url.as_str()));
    if let Some(auth) = &need.auth {
        let (header, value) = (quoted(&auth.header), quoted(&auth.value.template()));
        out += &format!("auth = {{ header = {header}, value = {value} }}\n");
    }
    out + &format!("max_in_flight = {}\n", need.max_in_flight)
}

impl Secretive {
    /// As it is written, with its references.
    fn template(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Secret(name) => format!("${{secret:{name}}}"),
        };
        self.parts.iter().map(part).collect()
    }

    /// Reads a text in which `${secret:NAME}` stands for a secret. None: a `${`
    /// that is not closed or names no secret.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("${") {
            let (reference, after) = behind.split_once('}')?;
            let name = reference
                .strip_prefix("secret:")
                .filter(|name| (SETTING.fits)(name))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Secret(name.to_owned()));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Some(Self { parts })
    }

    /// The names of the secrets that it needs, in order.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The header value with its secrets in place.
    ///
    /// # Errors
    /// `lookup` does not know a secret, or the result is no header value.
    pub fn resolve(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<String, Error> {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Secret(name) => match lookup(name) {
                    Some(secret) => value.push_str(&secret),
                    None => return Err(Error::MissingSecret { name: name.clone() }),
                },
            }
        }
        if is_header_value(&value) {
            Ok(value)
        } else {
            Err(Error::NotAHeaderValue)
        }
    }

    fn is_plausible(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(text) => text.is_empty() || text.chars().all(is_header_char),
            Part::Secret(_) => true,
        })
    }
}

fn need(table: &Table<'_>) -> Option<Need> {
    table.require("url", "write url = \"https://…\", where the need is");
    let max_in_flight = table.count("max_in_flight", 1..=100_000).unwrap_or(200);
    let auth = table.has("auth").then(|| auth(&table.table("auth")));
    let text = table.text("url", 1..=2048)?;
    match BaseUrl::parse(text) {
        Ok(url) => Some(Need {
            url,
            auth: auth.flatten(),
            max_in_flight,
        }),
        Err(error) => {
            let message = format!(
                "`{}` is no address of a need: {error}",
                table.path_of("url")
            );
            table.problem(
                "url",
                Code::BadValue,
                message,
                "write https://host/path, and nothing behind the path",
            );
            None
        }
    }
}

fn auth(table: &Table<'_>) -> Option<Auth> {
    table.require(
        "header",
        "write header = \"authorization\", or the header that the need reads",
    );
    table.require("value", "write value = \"Bearer ${secret:NAME}\"");
    let header = table.name("header", &HEADER).map(str::to_ascii_lowercase);
    if header.as_deref().is_some_and(is_request_header) {
        let message = format!(
            "`{}` names a header that the host sets itself",
            table.path_of("header")
        );
        table.problem(
            "header",
            Code::ReservedName,
            message,
            "name the header that the need reads credentials from",
        );
    }
    let text = table.text("value", 1..=4096)?;
    let Some(value) = Secretive::parse(text).filter(Secretive::is_plausible) else {
        // The value itself is left out of the message: it may hold a secret.
        let message = format!(
            "`{}` is no header value with secrets",
            table.path_of("value")
        );
        let remedy = "write visible ASCII, with each secret as ${secret:NAME}";
        table.problem("value", Code::BadValue, message, remedy);
        return None;
    };
    Some(Auth {
        header: header?,
        value,
    })
}

/// Its values are checked, so that a file is right on the day it is built.
fn breaker(need: &Table<'_>) {
    if !need.has("breaker") {
        return;
    }
    let table = need.table("breaker");
    let duration = Duration::from_millis(1)..=Duration::from_hours(1);
    for key in ["failure_share", "slow_share"] {
        table.number(key, 0.0..=1.0);
    }
    for key in ["window", "slow_call", "open", "ramp"] {
        table.duration(key, duration.clone());
    }
    for key in ["min_calls", "consecutive", "probes"] {
        table.count(key, 1..=100_000);
    }
    let message = format!(
        "`{}` does nothing yet: this version has no breaker for needs",
        table.path()
    );
    table.problem_here(Code::NotBuiltYet, message, "remove the table");
}

fn is_header_value(value: &str) -> bool {
    !value.is_empty() && value.chars().all(is_header_char)
}

fn is_header_char(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic()
}

impl fmt::Debug for Secretive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.secrets().collect();
        f.debug_struct("Secretive")
            .field("secrets", &names)
            .finish_non_exhaustive()
    }
}

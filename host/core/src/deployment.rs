//! What runs of a handler: its versions, the one that has the traffic, how that
//! came about, and whether it is paused. One value in the registry, changed by
//! compare-and-set; each change is a function from one value to the next.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const FORMAT: u32 = 1;
/// Most versions that a deployment remembers; the one in use is always kept.
pub const VERSIONS_MAX: usize = 32;
/// Most changes that it remembers.
pub const HISTORY_MAX: usize = 32;
/// Longest reason, in bytes.
pub const WHY_BYTES_MAX: usize = 1024;

/// The sha256 of an object: `sha256-` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

/// A handler's deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    format: u32,
    pub handler: String,
    /// The history that it works on: `<handler>-<n>`.
    pub lineage: String,
    /// Number of the version that has the traffic.
    pub stable: u32,
    /// Ascending by number.
    pub versions: Vec<Version>,
    /// How `stable` changed, the last one last.
    pub history: Vec<Change>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// What a later version has written; kept as it is.
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// A component and the manifest that it runs under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// From 1; never given twice.
    pub number: u32,
    pub component: Digest,
    pub manifest: Digest,
    pub added_ms: u64,
}

/// One version took over from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub version: u32,
    pub at_ms: u64,
    /// Who, as far as the machine knows: `user@host`.
    pub by: String,
    /// Their reason; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Nothing of the handler runs, on any host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub at_ms: u64,
    pub by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Set by the guard: it ends when another version takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

/// Who changes something, when, and why.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub by: &'a str,
    pub why: &'a str,
    pub now_ms: u64,
}

/// Why bytes are not a deployment that this version may touch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("deployment format {found} is unknown to this version, which writes {FORMAT}")]
    Format { found: u32 },
    #[error("the deployment does not parse: {reason}")]
    Malformed { reason: String },
    #[error("the deployment's version in use, {stable}, is not among its versions")]
    Dangling { stable: u32 },
}

/// Why there is no way back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    #[error("version {version} is the only one that ever had the traffic")]
    First { version: u32 },
    #[error("version {version} has the traffic already")]
    Already { version: u32 },
    #[error("there is no version {version}; there are {known}")]
    Unknown { version: u32, known: String },
}

/// Reads a deployment.
///
/// # Errors
/// See [`Error`].
pub fn decode(bytes: &[u8]) -> Result<Deployment, Error> {
    let malformed = |e: serde_json::Error| Error::Malformed {
        reason: e.to_string(),
    };
    let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
    if head.format != FORMAT {
        return Err(Error::Format { found: head.format });
    }
    let deployment: Deployment = serde_json::from_slice(bytes).map_err(malformed)?;
    match deployment.version(deployment.stable) {
        Some(_) => Ok(deployment),
        None => Err(Error::Dangling {
            stable: deployment.stable,
        }),
    }
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

pub fn encode(deployment: &Deployment) -> Vec<u8> {
    serde_json::to_vec_pretty(deployment).expect("strings and numbers serialize")
}

impl Deployment {
    /// The first version of a handler.
    pub fn first(
        handler: &str,
        lineage: &str,
        component: Digest,
        manifest: Digest,
        author: Author<'_>,
    ) -> Self {
        let version = Version {
            number: 1,
            component,
            manifest,
            added_ms: author.now_ms,
        };
        Self {
            format: FORMAT,
            handler: handler.to_owned(),
            lineage: lineage.to_owned(),
            stable: 1,
            versions: vec![version],
            history: vec![author.change(1)],
            paused: None,
            other: BTreeMap::new(),
        }
    }

    pub fn version(&self, number: u32) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// The version in use.
    ///
    /// # Panics
    /// Never: `decode` refuses what would.
    pub fn in_use(&self) -> &Version {
        self.version(self.stable).expect("checked when it was read")
    }

    /// Whether a component and its manifest are one of the versions.
    pub fn knows(&self, component: Digest, manifest: Digest) -> bool {
        self.find(component, manifest).is_some()
    }

    fn find(&self, component: Digest, manifest: Digest) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| (version.component, version.manifest) == (component, manifest))
    }

    /// Gives the traffic to a component and its manifest: to the version that
    /// they are already, or to a new one. None: it has the traffic.
    pub fn deployed(
        &self,
        component: Digest,
        manifest: Digest,
        author: Author<'_>,
    ) -> Option<Self> {
        if let Some(known) = self.find(component, manifest) {
            return (known.number != self.stable).then(|| self.switched(known.number, author));
        }
        let number = self.versions.iter().map(|v| v.number).max().unwrap_or(0) + 1;
        let mut next = self.clone();
        next.versions.push(Version {
            number,
            component,
            manifest,
            added_ms: author.now_ms,
        });
        Some(next.switched(number, author))
    }

    /// Gives the traffic back to the version that had it before, or to `to`.
    ///
    /// # Errors
    /// There is none before, or no such one.
    pub fn rolled_back(&self, to: Option<u32>, author: Author<'_>) -> Result<Self, NoWayBack> {
        let version = match to {
            Some(version) => version,
            None => self.before().ok_or(NoWayBack::First {
                version: self.stable,
            })?,
        };
        if version == self.stable {
            return Err(NoWayBack::Already { version });
        }
        match self.version(version) {
            Some(_) => Ok(self.switched(version, author)),
            None => Err(NoWayBack::Unknown {
                version,
                known: self.numbers(),
            }),
        }
    }

    /// The last version that had the traffic and has it no more.
    pub fn before(&self) -> Option<u32> {
        self.earlier().first().map(|version| version.number)
    }

    /// Versions that had the traffic and are still known, the last one first;
    /// not the one in use.
    pub fn earlier(&self) -> Vec<&Version> {
        let mut earlier: Vec<&Version> = Vec::new();
        for change in self.history.iter().rev() {
            let known = self.version(change.version);
            let new = known.filter(|version| {
                version.number != self.stable
                    && earlier.iter().all(|other| other.number != version.number)
            });
            earlier.extend(new);
        }
        earlier
    }

    /// Stops the handler everywhere; a person's pause outlasts versions, a
    /// guard's is of one.
    #[must_use]
    pub fn paused(&self, version: Option<u32>, author: Author<'_>) -> Self {
        Self {
            paused: Some(Pause {
                at_ms: author.now_ms,
                by: author.by.to_owned(),
                why: bounded(author.why),
                version,
            }),
            ..self.clone()
        }
    }

    /// Lets it go on.
    #[must_use]
    pub fn resumed(&self) -> Self {
        Self {
            paused: None,
            ..self.clone()
        }
    }

    fn switched(&self, number: u32, author: Author<'_>) -> Self {
        let mut next = self.clone();
        next.stable = number;
        next.history.push(author.change(number));
        let surplus = next.history.len().saturating_sub(HISTORY_MAX);
        next.history.drain(..surplus);
        next.paused = next.paused.filter(|pause| pause.version.is_none());
        while next.versions.len() > VERSIONS_MAX {
            // The way back stays open.
            let kept = [Some(number), next.before()];
            let oldest = next
                .versions
                .iter()
                .position(|version| !kept.contains(&Some(version.number)))
                .expect("more versions than are kept");
            next.versions.remove(oldest);
        }
        next
    }

    fn numbers(&self) -> String {
        let numbers: Vec<String> = self.versions.iter().map(|v| v.number.to_string()).collect();
        numbers.join(", ")
    }
}

impl Author<'_> {
    fn change(&self, version: u32) -> Change {
        Change {
            version,
            at_ms: self.now_ms,
            by: self.by.to_owned(),
            why: bounded(self.why),
        }
    }
}

/// A reason is cut rather than refused.
fn bounded(why: &str) -> String {
    let mut end = why.len().min(WHY_BYTES_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not `sha256-` and 64 lower-case hexadecimal digits")]
pub struct NotADigest {
    text: String,
}

impl Digest {
    /// The first twelve digits: what people compare.
    pub fn short(&self) -> String {
        HEXLOWER.encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256-{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.strip_prefix("sha256-").map(str::as_bytes);
        digits
            .and_then(|digits| HEXLOWER.decode(digits).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NotADigest {
                text: text.to_owned(),
            })
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests;

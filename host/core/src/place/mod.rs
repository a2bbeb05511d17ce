//! `wharf.toml` as checked values: what belongs to a place, not to a handler.
//!
//! Flags and environment variables are put over these values by the edge.

mod parse;
mod server;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::{self, Located, Problem};
use crate::pattern::Pattern;

pub use server::ServerUrl;

/// Every key of `wharf.toml`, as `docs/place.md` lists them. A single capital
/// letter stands for a name that the author chooses.
pub const KEYS: &[&str] = &[
    "nats.url",
    "nats.context",
    "nats.creds",
    "nats.tls.ca",
    "nats.tls.cert",
    "nats.tls.key",
    "streams.S.subjects",
    "streams.S.partitions",
    "streams.S.max_bytes",
    "streams.S.replicas",
    "host.listen",
    "host.max_held",
    "host.max_held_bytes",
    "host.max_lane",
    "host.max_span",
    "host.max_hold",
    "host.lease",
    "host.drain",
];

/// A whole, valid `wharf.toml`. The default is the empty file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    pub nats: Nats,
    /// By name.
    pub streams: BTreeMap<String, Stream>,
    pub host: HostSettings,
}

/// Table `[nats]`: how to reach the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nats {
    pub servers: Servers,
    /// Path of a credentials file, read again when it changes.
    pub creds: Option<String>,
    pub tls: Tls,
}

/// Which servers to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// At least one; any of them may answer.
    Urls(Vec<ServerUrl>),
    /// A context of the `nats` tool, which brings servers and credentials.
    Context(String),
}

/// Table `[nats.tls]`: paths of PEM files, read again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities to trust beside the system's.
    pub ca: Option<String>,
    /// The host's own certificate; there exactly when `key` is.
    pub cert: Option<String>,
    pub key: Option<String>,
}

/// One `[streams.S]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// At least one. No two streams of a place match the same subject.
    pub subjects: Vec<Pattern>,
    /// Hosts that may own a part of an ordered handler at once.
    pub partitions: u32,
    pub max_bytes: u64,
    /// 1, 3 or 5.
    pub replicas: u32,
}

/// Table `[host]`: bounds of one host process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    /// Health, metrics and admin.
    pub listen: SocketAddr,
    /// Unsettled deliveries of a handler, and their bytes.
    pub max_held: u32,
    pub max_held_bytes: u64,
    /// Events in one lane; not above `max_held`.
    pub max_lane: u32,
    /// How far lanes may be ahead of the watermark, in sequences; not below
    /// `max_held`.
    pub max_span: u32,
    /// The longest wait of an event inside a lane.
    pub max_hold: Duration,
    /// After this without a sign a host's partitions are taken over.
    pub lease: Duration,
    /// How long a drain may take.
    pub drain: Duration,
}

impl Default for Servers {
    fn default() -> Self {
        Self::Urls(vec![ServerUrl::loopback()])
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_held: 4096,
            max_held_bytes: 256 << 20,
            max_lane: 64,
            max_span: 1_000_000,
            max_hold: Duration::from_secs(30),
            lease: Duration::from_secs(10),
            drain: Duration::from_secs(25),
        }
    }
}

/// Reads a `wharf.toml`. `file` is the name that problems carry.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn parse(file: &str, text: &str) -> Result<Place, Vec<Problem>> {
    read(file, text).map(|place| place.value)
}

/// Like [`parse`], with the place of every key, for checks across files.
///
/// # Errors
/// Every problem of the file, in order of position.
pub fn read(file: &str, text: &str) -> Result<Located<Place>, Vec<Problem>> {
    config::read(file, text, KEYS, parse::place)
}

//! What a host reports of itself in the registry: what it runs, and what it
//! refused and why. Commands read it, and hosts share ordered handlers by it
//! (see [`crate::ownership`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deployment::Digest;

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// A host, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    pub format: u32,
    /// Names the process; also in the checkpoints that it owns.
    pub host: String,
    /// The version of Wharf.
    pub wharf: String,
    pub started_ms: u64,
    pub written_ms: u64,
    pub draining: bool,
    pub handlers: BTreeMap<String, HandlerReport>,
}

/// A handler on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerReport {
    /// The version that takes events; none while nothing runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// Revision of the deployment that this state answers.
    pub revision: u64,
    /// The version that the host was told to run and does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    #[serde(default)]
    pub paused: bool,
    /// This host owns the handler's partition.
    #[serde(default)]
    pub owns: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub version: u32,
    pub component: Digest,
    /// [`crate::checkpoint::generation_text`] of what an ordered handler subscribes
    /// to. Empty for others, and in reports of older hosts.
    #[serde(default)]
    pub generation: String,
    pub since_ms: u64,
}

/// Why a version is not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub version: u32,
    /// Its page says more.
    pub code: String,
    pub message: String,
    pub remedy: String,
}

/// None: the bytes are none that this version knows.
pub fn decode(bytes: &[u8]) -> Option<HostReport> {
    let report: HostReport = serde_json::from_slice(bytes).ok()?;
    (report.format == FORMAT).then_some(report)
}

pub fn encode(report: &HostReport) -> Vec<u8> {
    serde_json::to_vec(report).expect("strings and numbers serialize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_registry_and_another_format_is_no_report() {
        let refused = Refused {
            version: 3,
            code: "WH0404".to_owned(),
            message: "imports what no host has".to_owned(),
            remedy: "remove it".to_owned(),
        };
        let handler = HandlerReport {
            running: Some(Running {
                version: 2,
                component: Digest([7; 32]),
                generation: "00ff".to_owned(),
                since_ms: 5,
            }),
            revision: 9,
            refused: Some(refused),
            paused: false,
            owns: true,
        };
        let report = HostReport {
            format: FORMAT,
            host: "pod-1".to_owned(),
            wharf: "0.1.0".to_owned(),
            started_ms: 1,
            written_ms: 2,
            draining: false,
            handlers: BTreeMap::from([("payment".to_owned(), handler)]),
        };
        assert_eq!(decode(&encode(&report)), Some(report.clone()));
        let other = HostReport {
            format: 2,
            ..report
        };
        assert_eq!(decode(&encode(&other)), None);
        assert_eq!(decode(b"{}"), None);
    }
}

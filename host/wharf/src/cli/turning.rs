//! A deployment that changes what an ordered handler subscribes to: when, and from
//! where, the new subscription counts.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use wharf_core::checkpoint;
use wharf_core::manifest::{Manifest, Ordering};
use wharf_jetstream::api::Api;
use wharf_jetstream::names::Lineage;

use super::failure::Failure;
use super::provision;
use super::rollout::LOOK;
use crate::bundle;
use crate::codes::Code;

/// A handler whose checkpoint is of another subscription than its manifest.
pub struct Turning {
    pub handler: String,
    lineage: Lineage,
    generation: Vec<u8>,
}

/// What became of the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Turn {
    /// A host settles what the earlier one began, and then changes it.
    Due,
    Done {
        /// Events behind this sequence count by the new one.
        counts_behind: u64,
    },
}

/// Those of the handlers whose subscription is to change.
///
/// # Errors
/// The broker does not answer, or a checkpoint cannot be read.
pub async fn of(api: &Api, manifests: &[&Manifest]) -> Result<Vec<Turning>, Failure> {
    let mut turning = Vec::new();
    for manifest in manifests {
        if manifest.ordering != Ordering::Key {
            continue;
        }
        let subject = Turning {
            handler: manifest.name.clone(),
            lineage: bundle::lineage(&manifest.name)?,
            generation: checkpoint::generation(&manifest.on),
        };
        if subject.look(api).await? == Turn::Due {
            turning.push(subject);
        }
    }
    Ok(turning)
}

impl Turning {
    /// What has become of it when it is done, or at `until`.
    ///
    /// # Errors
    /// As [`of`].
    pub async fn turned(&self, api: &Api, until: Instant) -> Result<Turn, Failure> {
        loop {
            let turn = self.look(api).await?;
            if turn != Turn::Due || Instant::now() >= until {
                return Ok(turn);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// It has not been changed in the time that there was.
    pub fn late(&self) -> Failure {
        let what = format!(
            "the subscription of `{}` has not changed yet: what the earlier one began is not settled",
            self.handler
        );
        Failure::new(Code::NotConverged, what).remedy(
            "look at `wharf status` and at what the handler's host logs; it changes by itself",
        )
    }

    async fn look(&self, api: &Api) -> Result<Turn, Failure> {
        let found = provision::checkpoint(api, &self.lineage).await?;
        Ok(match found {
            Some(found) if found.generation == self.generation => Turn::Done {
                counts_behind: found.counts_behind,
            },
            Some(_) | None => Turn::Due,
        })
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Due => write!(f, "its subscription changes when a host takes it up"),
            Self::Done { counts_behind } => {
                write!(f, "its subscription counts behind sequence {counts_behind}")
            }
        }
    }
}

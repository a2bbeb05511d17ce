//! Where the needs are: as the registry says, but for what this host was told
//! when it was started.

use std::collections::BTreeMap;

use wharf_core::needs::{self, Need};
use wharf_jetstream::registry::Entry;

use super::Site;
use crate::cli::failure::Failure;
use crate::config;

/// The needs of the registry, by name.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, Need>);

impl Known {
    /// A need has moved, or is new.
    pub(super) fn put(&mut self, name: &str, entry: &Entry, site: &Site) {
        match read(name, entry) {
            Ok(need) => {
                self.0.insert(name.to_owned(), need);
                self.apply(name, site);
            }
            Err(failure) => refused(name, &failure),
        }
    }

    /// Nobody says any more where a need is.
    pub(super) fn remove(&mut self, name: &str, site: &Site) {
        self.0.remove(name);
        self.apply(name, site);
    }

    fn apply(&self, name: &str, site: &Site) {
        let mut places = BTreeMap::new();
        for (name, need) in &self.0 {
            let one = BTreeMap::from([(name.clone(), need.clone())]);
            // One without its secret keeps no other from its place.
            match config::resolve(&format!("need.{name}"), &one) {
                Ok(resolved) => places.extend(resolved),
                Err(failure) => refused(name, &failure),
            }
        }
        places.extend(site.parts.options().needs.clone());
        match site.parts.outbound().set(places) {
            Ok(()) => tracing::info!(need = name, "needs changed"),
            Err(error) => refused(name, &Failure::from(anyhow::Error::from(error))),
        }
    }
}

fn refused(name: &str, failure: &Failure) {
    tracing::error!(
        need = name,
        code = %failure.code,
        reason = failure.message,
        remedy = failure.remedy,
        "the need is not changed: it stays where it was"
    );
}

/// What the registry says of a need.
///
/// # Errors
/// Somebody wrote what is none.
pub fn read(name: &str, entry: &Entry) -> Result<Need, Failure> {
    let text = String::from_utf8_lossy(&entry.bytes);
    let place = format!("need.{name}");
    let mut needs = needs::parse(&place, &text).map_err(Failure::problems)?;
    needs.remove(name).ok_or_else(|| {
        let message = format!("the registry's `{place}` says nothing of the need `{name}`");
        Failure::new(crate::codes::Code::Problems, message)
    })
}

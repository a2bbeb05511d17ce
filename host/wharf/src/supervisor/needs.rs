//! Where the needs are: as the registry says, but for what this host was told
//! when it was started.

use std::collections::BTreeMap;

use wharf_core::needs::{self, Need};
use wharf_engine::Outbound;
use wharf_jetstream::registry::Entry;

use super::Site;
use crate::cli::failure::Failure;
use crate::config;

/// The needs of the registry that can be reached, by name.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, wharf_engine::Place>);

impl Known {
    /// A need has moved, or is new. One that cannot be used stays where it was,
    /// and keeps no other from its place.
    pub(super) fn put(&mut self, name: &str, entry: &Entry, site: &Site) {
        match place(name, entry) {
            Ok(place) => {
                self.0.insert(name.to_owned(), place);
                self.apply(name, site);
            }
            Err(failure) => refused(name, &failure),
        }
    }

    /// All that the registry says of needs, and nothing else.
    pub(super) fn replace(&mut self, all: &BTreeMap<String, Entry>, site: &Site) {
        if all.is_empty() && self.0.is_empty() {
            return;
        }
        self.0.retain(|name, _| all.contains_key(name));
        for (name, entry) in all {
            match place(name, entry) {
                Ok(place) => drop(self.0.insert(name.clone(), place)),
                Err(failure) => refused(name, &failure),
            }
        }
        self.apply("all", site);
    }

    /// Nobody says any more where a need is.
    pub(super) fn remove(&mut self, name: &str, site: &Site) {
        self.0.remove(name);
        self.apply(name, site);
    }

    fn apply(&self, name: &str, site: &Site) {
        let mut places = self.0.clone();
        places.extend(site.parts.options().needs.clone());
        match site.parts.outbound().set(places) {
            Ok(()) => tracing::info!(need = name, "needs changed"),
            Err(error) => refused(name, &Failure::from(anyhow::Error::from(error))),
        }
    }
}

fn place(name: &str, entry: &Entry) -> Result<wharf_engine::Place, Failure> {
    let one = BTreeMap::from([(name.to_owned(), read(name, entry)?)]);
    let resolved = config::resolve(&format!("need.{name}"), &one)?;
    Outbound::new(resolved.clone()).map_err(anyhow::Error::from)?;
    let place = resolved.into_values().next();
    Ok(place.expect("one need has one place"))
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

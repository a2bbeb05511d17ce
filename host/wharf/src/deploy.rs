//! Putting a bundle into the registry: its objects first, then the deployment,
//! by compare-and-set.

use bytes::Bytes;
use serde::Serialize;
use wharf_core::deployment::{self, Author, Deployment, Digest};
use wharf_core::manifest::Manifest;
use wharf_jetstream::registry::{Key, ObjectError, Registry, Saved, hash};

use crate::bundle::{self, Bundle};
use crate::cli::failure::Failure;
use crate::codes::Code;

/// Others may change a deployment at the same time; so often it is tried again.
const TRIES: u32 = 5;

/// A bundle's bytes, and their names in the registry.
pub struct Parcel {
    pub handler: String,
    pub wasm: Bytes,
    pub manifest: Bytes,
}

/// What became of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The handler is new.
    First,
    /// Another version has the traffic now.
    Switched,
    /// This very version has it already.
    Unchanged,
}

/// A deployment as it stands in the registry.
#[derive(Debug, Clone)]
pub struct Stands {
    pub deployment: Deployment,
    pub revision: u64,
}

impl Parcel {
    /// # Errors
    /// A file of the bundle cannot be read.
    pub fn of(bundle: &Bundle) -> Result<Self, Failure> {
        Ok(Self {
            handler: bundle.manifest.name.clone(),
            wasm: bundle.wasm()?,
            manifest: bundle.manifest_text()?,
        })
    }

    /// The names of its component and its manifest.
    pub fn digests(&self) -> (Digest, Digest) {
        (hash(&self.wasm), hash(&self.manifest))
    }
}

/// Whether a version that was deployed before takes over again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    TakesOver,
    /// It was replaced, and stays so: a host that restarts with an old folder
    /// must not undo what an operator did since.
    StaysReplaced,
}

/// Deploys a parcel: this version has the traffic from now on.
///
/// # Errors
/// The registry is missing, cannot be read or written, or somebody else keeps
/// changing the deployment.
pub async fn put(
    registry: &Registry,
    parcel: &Parcel,
    known: Known,
    author: Author<'_>,
) -> Result<(Step, Stands), Failure> {
    let (component, manifest) = parcel.digests();
    require_same_history(registry, parcel).await?;
    let lineage = bundle::lineage(&parcel.handler)?;
    let first = || {
        Deployment::first(
            &parcel.handler,
            lineage.as_str(),
            component,
            manifest,
            author,
        )
    };
    for part in [&parcel.wasm, &parcel.manifest] {
        registry.put_object(part).await?;
    }
    change(registry, &parcel.handler, |before| {
        Ok(match before {
            None => Some(first()),
            Some(before) if known == Known::StaysReplaced && before.knows(component, manifest) => {
                None
            }
            Some(before) => before.deployed(component, manifest, author),
        })
    })
    .await
}

/// A handler's records, checkpoint and consumer are of one stream and one way
/// to read it; under another, events would be lost or handled twice.
async fn require_same_history(registry: &Registry, parcel: &Parcel) -> Result<(), Failure> {
    let Some(stands) = read(registry, &parcel.handler).await? else {
        return Ok(());
    };
    let in_use = registry.object(stands.deployment.in_use().manifest).await;
    // What cannot be read runs nowhere, and has to be replaced.
    let Some(before) = in_use.ok().and_then(|text| manifest(&text)) else {
        return Ok(());
    };
    let Some(after) = manifest(&parcel.manifest) else {
        return Ok(());
    };
    let what = match () {
        () if before.stream != after.stream => "stream",
        () if before.ordering != after.ordering => "ordering",
        () => return Ok(()),
    };
    let message = format!(
        "handler `{}` has worked with another `{what}`; its history cannot be carried over",
        parcel.handler
    );
    Err(Failure::new(Code::CheckpointConflict, message)
        .remedy(format!("restore `{what}`, or give the handler a new name")))
}

fn manifest(text: &Bytes) -> Option<Manifest> {
    let text = std::str::from_utf8(text).ok()?;
    wharf_core::manifest::read("handler.toml", text)
        .ok()
        .map(|located| located.value)
}

/// Changes a handler's deployment as `next` says; None leaves it as it is.
///
/// # Errors
/// As [`put`], and what `next` refuses.
pub async fn change(
    registry: &Registry,
    handler: &str,
    next: impl Fn(Option<&Deployment>) -> Result<Option<Deployment>, Failure>,
) -> Result<(Step, Stands), Failure> {
    let key = Key::Handler(handler.to_owned());
    for _ in 0..TRIES {
        let before = read(registry, handler).await?;
        let after = next(before.as_ref().map(|stands| &stands.deployment))?;
        let (step, expected) = match &before {
            None => (Step::First, 0),
            Some(stands) => (Step::Switched, stands.revision),
        };
        let Some(deployment) = after else {
            let stands = before.ok_or_else(|| unknown(handler))?;
            return Ok((Step::Unchanged, stands));
        };
        let bytes = Bytes::from(deployment::encode(&deployment));
        match registry.write(&key, expected, bytes).await {
            Saved::Stored { revision } => {
                return Ok((
                    step,
                    Stands {
                        deployment,
                        revision,
                    },
                ));
            }
            Saved::Conflict => {}
            other => return Err(not_saved(&key, other)),
        }
    }
    let message = format!("the deployment of `{handler}` was changed by others {TRIES} times");
    Err(Failure::new(Code::DeploymentConflict, message).place(key.to_string()))
}

/// A handler's deployment.
///
/// # Errors
/// The registry cannot be read, or holds what this version does not know.
pub async fn read(registry: &Registry, handler: &str) -> Result<Option<Stands>, Failure> {
    let key = Key::Handler(handler.to_owned());
    let Some(entry) = registry.read(&key).await? else {
        return Ok(None);
    };
    let deployment = deployment::decode(&entry.bytes).map_err(|error| {
        Failure::new(Code::DeploymentUnreadable, error.to_string()).place(key.to_string())
    })?;
    Ok(Some(Stands {
        deployment,
        revision: entry.revision,
    }))
}

/// Why a value of the registry was not written.
pub fn not_saved(key: &Key, saved: Saved) -> Failure {
    let failure = match saved {
        Saved::Stored { .. } | Saved::Unanswered => Failure::new(
            Code::Unanswered,
            format!("it is not known whether `{key}` was changed"),
        ),
        Saved::Conflict => Failure::new(
            Code::DeploymentConflict,
            format!("`{key}` was changed by somebody else just now"),
        ),
        Saved::Refused { reason } => Failure::new(Code::BrokerRefused, reason),
    };
    failure.place(key.to_string())
}

/// A handler that is not deployed.
pub fn unknown(handler: &str) -> Failure {
    let message = format!("no handler `{handler}` is deployed");
    Failure::new(Code::NotDeployed, message)
}

/// Who runs this process, as far as the machine knows.
pub fn whoami() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER").or_else(|| variable("LOGNAME"));
    let host = variable("HOSTNAME")
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().to_owned());
    match (user, host) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "unknown".to_owned(),
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        let code = match &error {
            ObjectError::Absent { .. } => Code::ObjectMissing,
            ObjectError::Mismatch { .. } => Code::DigestMismatch,
            ObjectError::TooLarge { .. } => Code::ComponentTooLarge,
            ObjectError::Broker { .. } => Code::RegistryUnavailable,
        };
        Self::new(code, error.to_string())
    }
}

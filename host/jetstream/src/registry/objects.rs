//! Objects: components and manifests, each under the hash of its bytes.

use std::time::Duration;

use async_nats::jetstream::{self, object_store::ObjectStore};
use bytes::Bytes;
use data_encoding::BASE64URL;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use wharf_core::deployment::Digest;

use super::{CODE_STORE, CODE_STREAM, Registry};
use crate::api::message::Query;

/// Largest object that is taken, in bytes.
pub const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// An object is put or fetched within this, or given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why an object is not there, or not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no object `{digest}`")]
    Absent { digest: Digest },
    #[error("the object `{named}` holds bytes whose hash is `{found}`")]
    Mismatch { named: Digest, found: Digest },
    #[error("an object has at most {OBJECT_BYTES_MAX} bytes, and this one has {bytes}")]
    TooLarge { bytes: u64 },
    #[error("the object store does not answer: {reason}")]
    Broker { reason: String },
}

impl Registry {
    /// Keeps bytes under their hash. What is there already is left alone.
    ///
    /// # Errors
    /// The store is missing or full, or the broker does not answer.
    ///
    /// # Cancel safety
    /// Safe: an object is there whole or not at all.
    pub async fn put_object(&self, bytes: &Bytes) -> Result<Digest, ObjectError> {
        let size = bytes.len() as u64;
        if size > OBJECT_BYTES_MAX {
            return Err(ObjectError::TooLarge { bytes: size });
        }
        let digest = hash(bytes);
        // Putting a name again would purge the chunks that somebody reads.
        if self.object(digest).await.is_ok() {
            return Ok(digest);
        }
        let store = self.objects().await?;
        let name = digest.to_string();
        let mut source: &[u8] = bytes;
        within(store.put(name.as_str(), &mut source)).await?;
        Ok(digest)
    }

    /// The bytes whose hash this is.
    ///
    /// # Errors
    /// See [`ObjectError`]. Bytes of another hash are never handed out.
    pub async fn object(&self, digest: Digest) -> Result<Bytes, ObjectError> {
        match timeout(PATIENCE, self.fetch(digest)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(late()),
        }
    }

    /// Of the leader: a copy of the stream that lags says that there is no such
    /// object, or ends in the middle of it.
    async fn fetch(&self, digest: Digest) -> Result<Bytes, ObjectError> {
        let Some(about) = self.about(digest).await?.filter(|about| !about.deleted) else {
            return Err(ObjectError::Absent { digest });
        };
        if about.size > OBJECT_BYTES_MAX {
            return Err(ObjectError::TooLarge { bytes: about.size });
        }
        let subject = format!("$O.{CODE_STORE}.C.{}", about.nuid);
        let mut bytes = Vec::with_capacity(usize::try_from(about.size).unwrap_or(0));
        let mut next = 1;
        while (bytes.len() as u64) < about.size {
            let query = Query::next(&subject, next);
            let chunk = self.api.message(CODE_STREAM, &query).await;
            let Some(chunk) = chunk.map_err(|error| broker(&error))? else {
                let (found, size) = (bytes.len(), about.size);
                let reason = format!("of the {size} bytes of `{digest}` it has {found}");
                return Err(ObjectError::Broker { reason });
            };
            next = chunk.sequence + 1;
            bytes.extend_from_slice(&chunk.data);
        }
        let found = hash(&bytes);
        match found == digest {
            true => Ok(Bytes::from(bytes)),
            false => Err(ObjectError::Mismatch {
                named: digest,
                found,
            }),
        }
    }

    async fn about(&self, digest: Digest) -> Result<Option<About>, ObjectError> {
        let name = BASE64URL.encode(digest.to_string().as_bytes());
        let subject = format!("$O.{CODE_STORE}.M.{name}");
        let found = self.api.message(CODE_STREAM, &Query::last(&subject)).await;
        let Some(message) = found.map_err(|error| broker(&error))? else {
            return Ok(None);
        };
        let about = serde_json::from_slice(&message.data);
        about.map(Some).map_err(|error| broker(&error))
    }

    async fn objects(&self) -> Result<ObjectStore, ObjectError> {
        let context = jetstream::new(self.connection().client().clone());
        within(context.get_object_store(CODE_STORE)).await
    }
}

/// What the store says about an object, as far as it matters here.
#[derive(Deserialize)]
struct About {
    nuid: String,
    size: u64,
    #[serde(default)]
    deleted: bool,
}

/// The name of these bytes.
pub fn hash(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

async fn within<T, E: std::error::Error>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, ObjectError> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| broker(&error)),
        Err(_) => Err(late()),
    }
}

fn broker(error: &dyn std::error::Error) -> ObjectError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        reason = format!("{reason}: {source}");
        cause = source.source();
    }
    ObjectError::Broker { reason }
}

fn late() -> ObjectError {
    ObjectError::Broker {
        reason: format!("nothing within {} s", PATIENCE.as_secs()),
    }
}

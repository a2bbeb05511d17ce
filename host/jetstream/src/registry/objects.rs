//! Objects: components and manifests, each under the hash of its bytes.

use std::time::Duration;

use async_nats::jetstream::{self, object_store::ObjectStore};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use wharf_core::deployment::Digest;

use super::{CODE_STORE, Registry};

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
        let store = self.objects().await?;
        // Putting a name again would purge the chunks that somebody reads.
        if self.object_in(&store, digest).await.is_ok() {
            return Ok(digest);
        }
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
        let store = self.objects().await?;
        self.object_in(&store, digest).await
    }

    async fn object_in(&self, store: &ObjectStore, digest: Digest) -> Result<Bytes, ObjectError> {
        use jetstream::object_store::GetErrorKind;
        let name = digest.to_string();
        let get = async {
            let mut object = match store.get(name.as_str()).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => {
                    return Err(ObjectError::Absent { digest });
                }
                Err(error) => return Err(broker(&error)),
            };
            let size = object.info().size as u64;
            if size > OBJECT_BYTES_MAX {
                return Err(ObjectError::TooLarge { bytes: size });
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            let read = object.read_to_end(&mut bytes).await;
            // The library's own check of the hash fails as a read of everything.
            if let Err(error) = read
                && bytes.len() as u64 != size
            {
                return Err(broker(&error));
            }
            Ok(Bytes::from(bytes))
        };
        let bytes = timeout(PATIENCE, get).await.map_err(|_| late())??;
        let found = hash(&bytes);
        match found == digest {
            true => Ok(bytes),
            false => Err(ObjectError::Mismatch {
                named: digest,
                found,
            }),
        }
    }

    async fn objects(&self) -> Result<ObjectStore, ObjectError> {
        let context = jetstream::new(self.connection().client().clone());
        within(context.get_object_store(CODE_STORE)).await
    }
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

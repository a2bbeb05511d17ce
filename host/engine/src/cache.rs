//! Compiled components on disk, so that a restart does not compile again.
//!
//! What is read here is run as machine code. So the directory belongs to the
//! host alone; a name stands for exactly one component, engine version and set
//! of options; a file appears whole or not at all; and its hash is checked
//! before wasmtime sees it. A file that fails is compiled anew, silently slow
//! rather than wrong.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

use crate::error::Error;

const HASH_BYTES: usize = 32;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A directory of compiled components.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Stands for the engine's version and every option that changes code.
    engine: [u8; HASH_BYTES],
}

impl Cache {
    /// Opens a directory, making it when it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or when others than its owner could write it.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, Error> {
        let failed = |source| Error::Cache {
            path: directory.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let mode = fs::metadata(directory).map_err(failed)?.mode();
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(Error::CacheShared {
                path: directory.to_owned(),
            });
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            directory: directory.to_owned(),
            engine: hasher.0.finalize().into(),
        })
    }

    /// The compiled form of a component, if it was stored by this engine.
    pub(crate) fn read(&self, digest: &[u8; HASH_BYTES]) -> Option<Vec<u8>> {
        let path = self.path(digest);
        let mut file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(?path, %error, "a compiled component cannot be read");
                return None;
            }
        };
        let whole = file.len() >= HASH_BYTES
            && Sha256::digest(&file[HASH_BYTES..]).as_slice() == &file[..HASH_BYTES];
        if !whole {
            tracing::warn!(
                ?path,
                "a compiled component is damaged; it is compiled again"
            );
            return None;
        }
        file.drain(..HASH_BYTES);
        Some(file)
    }

    /// Keeps a compiled component. Failing to is not an error: the next start
    /// compiles again.
    pub(crate) fn write(&self, digest: &[u8; HASH_BYTES], compiled: &[u8]) {
        let path = self.path(digest);
        if let Err(error) = self.try_write(&path, compiled) {
            tracing::warn!(?path, %error, "a compiled component cannot be kept");
        }
    }

    fn try_write(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&Sha256::digest(compiled))?;
        file.write_all(compiled)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o400))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, digest: &[u8; HASH_BYTES]) -> PathBuf {
        let name = Sha256::new()
            .chain_update(self.engine)
            .chain_update(digest)
            .finalize();
        self.directory
            .join(format!("{}.cwasm", HEXLOWER.encode(&name)))
    }
}

/// Lets wasmtime's hash of itself run through SHA-256.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never asked: the whole digest is taken instead.
    fn finish(&self) -> u64 {
        unreachable!("the digest is taken from the hasher itself")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    fn cache(directory: &Path) -> Cache {
        let engine = Engine::default();
        Cache::open(directory, &engine).expect("a directory of our own")
    }

    #[test]
    fn what_was_written_is_read_again_and_only_under_its_digest() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let cache = cache(directory.path());
        assert_eq!(cache.read(&DIGEST), None);
        cache.write(&DIGEST, b"code");
        assert_eq!(cache.read(&DIGEST), Some(b"code".to_vec()));
        assert_eq!(cache.read(&[8; 32]), None);
        let mode = fs::metadata(cache.path(&DIGEST)).expect("written").mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn a_damaged_or_cut_file_is_not_used_and_can_be_replaced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let cache = cache(directory.path());
        cache.write(&DIGEST, b"code");
        let path = cache.path(&DIGEST);
        let good = fs::read(&path).expect("written");
        for bad in [
            good[..good.len() - 1].to_vec(),
            Vec::new(),
            [good.as_slice(), b"x"].concat(),
        ] {
            fs::remove_file(&path).expect("ours");
            fs::write(&path, bad).expect("ours");
            assert_eq!(cache.read(&DIGEST), None);
        }
        cache.write(&DIGEST, b"code");
        assert_eq!(cache.read(&DIGEST), Some(b"code".to_vec()));
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        let refused = Cache::open(directory.path(), &Engine::default());
        assert!(
            matches!(refused, Err(Error::CacheShared { .. })),
            "{refused:?}"
        );
    }
}

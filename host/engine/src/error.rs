//! What keeps the engine from starting.

use std::io;
use std::path::PathBuf;

/// Why a runtime or its outbound layer could not be made. All of them are
/// about the host's set-up, none about a handler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine refuses its configuration on this machine.
    #[error("the WebAssembly engine cannot be set up here: {reason}")]
    Engine {
        /// As wasmtime says it.
        reason: String,
    },
    /// The thread that interrupts guests could not be started.
    #[error("the thread that interrupts guests cannot be started")]
    Ticker(#[source] io::Error),
    /// The directory for compiled components cannot be used.
    #[error("the cache directory {path:?} cannot be used")]
    Cache {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Anyone else could put code into the cache that the host would run.
    #[error("the cache directory {path:?} can be written by other users: chmod 700 {path:?}")]
    CacheShared {
        /// As configured.
        path: PathBuf,
    },
    /// A need's address or credential cannot be used.
    #[error("the need `{need}` cannot be called: {reason}")]
    Place {
        /// Its name in `needs.toml`.
        need: String,
        /// What is wrong; never the credential itself.
        reason: String,
    },
    /// TLS cannot be set up, for example without any certificates.
    #[error("TLS cannot be set up: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
}

//! What the host does for a handler: the imports in a component, the test kit
//! elsewhere.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::wire::{config::get, http::send, log::write, metrics::add, metrics::observe};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::host::{add, get, observe, send, write};

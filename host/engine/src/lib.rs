//! Runs handler components: WebAssembly on one side, plain values on the other.
//!
//! [`Runtime::load`] turns bytes into a [`Component`] that is compiled, checked
//! and started once; [`Runtime::invoke`] makes one attempt on one event and
//! reports how it ended. [`Outbound`] is the only way from a guest to the
//! outside. This crate knows wasmtime and HTTP. It knows no broker, keeps no
//! queue, and never retries: what follows from an outcome is decided elsewhere.

pub use allocator::Allocator;
pub use component::{Component, Settings};
pub use error::Error;
pub use http::Method;
pub use invoke::{Attempt, Report, State};
pub use load::LoadError;
pub use observations::Observation;
pub use outbound::trace::{Exchange, Server, Trace};
pub use outbound::{Outbound, Place};
pub use runtime::{Runtime, RuntimeConfig, Usage};

mod allocator;
mod bindings;
mod cache;
mod classify;
mod component;
mod context;
mod effects;
mod error;
mod guest;
pub mod inspect;
mod interfaces;
mod invoke;
mod journal;
mod limiter;
mod load;
mod meter;
mod observations;
mod outbound;
mod random;
mod runtime;
mod start;
mod stdio;
mod text;
mod warm;

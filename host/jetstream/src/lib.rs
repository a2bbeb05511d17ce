//! Wharf's NATS side: pull engine, publisher, ledger, parking, timers, codec.
//!
//! Knows the broker and nothing of WebAssembly. What is decided is decided in
//! `wharf-core`; this crate carries it out and reports what the broker said.

pub mod api;
pub mod assets;
pub mod capabilities;
pub mod catalog;
pub mod codec;
pub mod connection;
pub mod error;
pub mod ledger;
pub mod lots;
pub mod names;
pub mod parking;
pub mod publisher;
pub mod pull;
pub mod reader;
pub mod registry;
pub mod shared;
pub mod timers;

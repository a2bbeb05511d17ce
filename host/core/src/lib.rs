//! Wharf's decisions: synchronous, without IO, clock or randomness.
//!
//! Everything here is a function from facts to a value. The edge (engine,
//! jetstream, pipeline) gathers the facts, carries the value out and logs it.
//! `now` and random numbers come in as arguments.

// A new variant must break the build wherever a decision is missing.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod admit;
pub mod backoff;
pub mod checkpoint;
pub mod commit;
pub mod config;
pub mod contract;
pub mod crosscheck;
pub mod deployment;
pub mod effects;
pub mod entry;
pub mod event;
pub mod guard;
pub mod ids;
pub mod judge;
pub mod limits;
pub mod manifest;
pub mod needs;
pub mod outcome;
pub mod ownership;
pub mod pattern;
pub mod place;
pub mod progress;
pub mod record;
pub mod report;
pub mod route;
pub mod trace;

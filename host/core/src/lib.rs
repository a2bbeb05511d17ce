//! Wharf's decisions: synchronous, without IO, clock or randomness.
//!
//! Everything here is a function from facts to a value. The edge (engine,
//! jetstream, pipeline) gathers the facts, carries the value out and logs it.
//! `now` and random numbers come in as arguments.

pub mod contract;
pub mod event;
pub mod ids;
pub mod limits;
pub mod manifest;
pub mod outcome;
pub mod pattern;

//! The demo: gateways that misbehave on demand, a load of orders, and a report
//! that says whether everything was conserved.
//!
//! A library first, because end-to-end tests start the same parts: [`Gateway`]
//! in their own process, [`NatsServer`] and [`HostProcess`] as children that
//! can be killed, [`load`] with a fixed seed, and [`Report`]. [`run()`] strings
//! them together as `wharf demo`. Nothing here is part of a production host,
//! and nothing here calls into one: it sees what an outsider sees, the streams,
//! the gateways' books and the host's HTTP.

pub mod args;
pub mod client;
pub mod draw;
mod error;
pub mod gateway;
pub mod load;
pub mod metrics;
pub mod process;
pub mod report;
pub mod run;
pub mod shop;
pub mod stream;

pub use args::{DemoArgs, GatewayArgs, Output};
pub use error::Error;
pub use gateway::Gateway;
pub use process::{HostProcess, NatsServer};
pub use report::Report;
pub use run::{Outcome, run, run_gateway};

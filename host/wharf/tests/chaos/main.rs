//! What must hold while processes die, gateways fail and keys stand still.
//!
//! Everything here is real: nats-server, the host as a child process, the
//! shop's components, HTTP to a gateway. Hosts and brokers are killed by
//! signals, and what came of it is read from the streams and the gateways'
//! books.

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod dead;
mod drain;
mod duplicates;
mod guests;
mod hosts;
mod memory;
mod outages;
mod probe;
mod republish;
mod shop;
mod spill;
mod subscriptions;
mod swap;
mod timers;
mod turning;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static MACHINE: RwLock<()> = RwLock::const_new(());

/// For a test that needs the machine for itself.
async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// For a test that may run beside others like it.
async fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

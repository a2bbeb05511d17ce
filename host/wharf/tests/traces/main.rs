//! What a host tells a collector, and that no collector holds it up.
//!
//! Broker, host, components and gateways are real. Spans are read from what a
//! collector of another make prints, and from a receiver of our own.

#[path = "../chaos/probe.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod probe;
#[path = "../chaos/shop.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod shop;
#[path = "../support/mod.rs"]
mod support;

mod collectors;
mod history;
mod order;
mod receiver;
mod rotel;
mod settings;
mod spans;

use tokio::sync::{Mutex, MutexGuard};

/// Each test runs a whole shop; two at once would only slow each other down.
async fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::const_new(());
    MACHINE.lock().await
}

//! Bad input, each with a named outcome and no loop, no crash, no loss: events
//! that are none, guests that misbehave, components that are not fit to run,
//! brokers that cannot serve.

mod broker;
mod bundles;
mod contract;
mod event;
mod events;
mod guests;
mod identity;
mod keys;
mod loading;
mod proxy;
mod run;
mod size;
mod stage;
mod unordered;
mod unreadable;
mod versions;
mod watch;
mod wire;

#[path = "../../../jetstream/tests/common/server.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod server;
#[path = "../support/mod.rs"]
mod support;

/// The machine is shared: the tests of this program that start hosts run one
/// after another.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

//! Bad input, each with a named outcome and no loop, no crash, no loss: events
//! that are none, guests that misbehave, components that are not fit to run,
//! brokers that cannot serve.

mod bundles;
mod event;
mod events;
mod watch;
mod wire;

#[path = "../support/mod.rs"]
mod support;

/// The machine is shared: the tests of this program that start hosts run one
/// after another.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

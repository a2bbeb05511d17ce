//! Whole hosts on a cluster of three nats-servers: connections die with events
//! in them, hosts freeze and come back as zombies, leaders move, nodes die.
//!
//! Everything here is real, and what came of it is read from the streams. Each
//! host reaches the broker through a proxy, which is where connections break.

#[path = "../../../jetstream/tests/common/cluster.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod cluster;
#[path = "../chaos/probe.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod probe;
#[path = "../../../jetstream/tests/common/proxy.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod proxy;
#[path = "../../../jetstream/tests/common/server.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod server;
#[path = "../chaos/shop.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod shop;
#[path = "../support/mod.rs"]
mod support;
#[path = "../chaos/turning.rs"]
mod turning;

mod conservation;
mod deaths;
mod firings;
mod leaders;
mod refusals;
mod stand;
mod subscriptions;
mod zombies;

/// Three servers and two hosts want the machine for themselves.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

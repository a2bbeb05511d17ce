//! The programs that a demo and the end-to-end tests run as children.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal
//! reaches the demo alone and the demo can drain in order; each dies with the
//! value that stands for it.

mod child;
mod host;
mod nats;

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

pub use child::{Child, Memory};
pub use host::{HostOptions, HostProcess};
pub use nats::{NatsOptions, NatsServer};

use crate::Error;

/// An address on this machine that nobody else reaches.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that was free a moment ago, and that the system does not lend to the
/// next outgoing connection: whoever asked has time to listen on it.
///
/// # Errors
/// [`Error::Io`] when none of many tries finds one.
pub fn free_port() -> Result<u16, Error> {
    // Below what Linux (from 32,768) and macOS (from 49,152) lend.
    const PORTS: std::ops::Range<u64> = 15_000..32_000;
    const TRIES: u64 = 100;
    let seed = RandomState::new();
    let mut last = None;
    for nth in 0..TRIES {
        let drawn = PORTS.start + seed.hash_one(nth) % (PORTS.end - PORTS.start);
        let port = u16::try_from(drawn).expect("within a u16");
        match TcpListener::bind(loopback(port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    let error = last.expect("tried at least once");
    Err(Error::io("looking for a free port")(error))
}

/// Makes sure that `port` can be listened on; `flag` is what changes it.
///
/// # Errors
/// [`Error::PortInUse`], or [`Error::Io`] for what else keeps it from us.
pub fn require_free(port: u16, what: &'static str, flag: &'static str) -> Result<(), Error> {
    match TcpListener::bind(loopback(port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(Error::PortInUse { port, what, flag })
        }
        Err(error) => Err(Error::io(format!("listening on port {port} for {what}"))(
            error,
        )),
    }
}

/// Keeps this process's own settings from a child whose settings are in files;
/// how much it logs, and how, is passed on.
pub(crate) fn plain_environment(command: &mut tokio::process::Command) {
    const PASSED_ON: [&str; 2] = ["WHARF_LOG", "WHARF_LOG_FORMAT"];
    for name in std::env::vars_os().map(|(name, _)| name) {
        let text = name.to_string_lossy();
        if text.starts_with("WHARF_") && !PASSED_ON.contains(&&*text) {
            command.env_remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_the_flag_that_changes_it() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = require_free(port, "nats-server", "--nats-port").unwrap_err();
        let line = error.to_string();
        assert!(
            line.contains(&port.to_string()) && line.contains("--nats-port"),
            "{line}"
        );
        drop(taken);
        require_free(port, "nats-server", "--nats-port").unwrap();
    }
}

//! The programs that a demo and the end-to-end tests run as children.
//!
//! Each child leads a process group of its own, so that Ctrl-C in a terminal
//! reaches the demo alone and the demo can drain in order; each dies with the
//! value that stands for it.

mod child;
mod host;
mod nats;

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

/// A port that was free a moment ago.
///
/// # Errors
/// [`Error::Io`] when the machine has none left.
pub fn free_port() -> Result<u16, Error> {
    let doing = "looking for a free port";
    let listener = TcpListener::bind(loopback(0)).map_err(Error::io(doing))?;
    Ok(listener.local_addr().map_err(Error::io(doing))?.port())
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

//! The two files that tell a host where it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Error;

/// Paths of `wharf.toml` and `needs.toml`.
#[derive(Debug, Clone)]
pub struct Place {
    pub config: PathBuf,
    pub needs: PathBuf,
}

impl Place {
    /// Writes both into `folder`, for a shop on this machine.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(
        folder: &Path,
        nats_url: &str,
        listen: SocketAddr,
        gateway_url: &str,
    ) -> Result<Self, Error> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            let doing = format!("writing {}", path.display());
            std::fs::write(&path, text)
                .map(|()| path)
                .map_err(Error::io(doing))
        };
        let config = write("wharf.toml", wharf_toml(nats_url, listen))?;
        let needs = write("needs.toml", needs_toml(gateway_url))?;
        Ok(Self { config, needs })
    }
}

fn wharf_toml(nats_url: &str, listen: SocketAddr) -> String {
    format!(
        r#"# Written by `wharf demo`.
[nats]
url = ["{nats_url}"]

[streams.SHOP]
subjects = ["shop.{{aggregate}}.{{id}}.>"]
max_bytes = "2GiB"

[streams.AUDIT]
subjects = ["audit.>"]
max_bytes = "2GiB"

[host]
listen = "{listen}"
"#
    )
}

fn needs_toml(gateway_url: &str) -> String {
    format!(
        r#"# Written by `wharf demo`.
[needs.gateway]
url = "{gateway_url}"

[needs.mail]
url = "{gateway_url}"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_accepts_both_files() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        let text = wharf_toml("nats://127.0.0.1:4222", listen);
        let place = wharf_core::place::parse("wharf.toml", &text).unwrap();
        assert_eq!(place.host.listen, listen);
        assert_eq!(place.streams.keys().collect::<Vec<_>>(), ["AUDIT", "SHOP"]);
        let text = needs_toml("http://127.0.0.1:8090");
        assert!(wharf_core::needs::parse("needs.toml", &text).is_ok());
    }
}

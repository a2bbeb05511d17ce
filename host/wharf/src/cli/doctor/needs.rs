//! Whether the needs answer the phone: a TCP connection, and no request.

use std::time::Duration;

use axum::http::Uri;
use tokio::net::TcpStream;
use wharf_core::needs::Needs;

use super::finding::{Finding, advice, good};

const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at every need. One that is down is no fault of the place: events wait
/// for it.
pub async fn look(needs: &Needs) -> Vec<Finding> {
    let mut findings = Vec::with_capacity(needs.len());
    for (name, need) in needs {
        let url = need.url.as_str();
        let found = match address(url) {
            None => Err("its address is not understood".to_owned()),
            Some((host, port)) => reach(&host, port).await,
        };
        findings.push(match found {
            Ok(()) => good("needs", format!("{name} at {url} can be reached")),
            Err(reason) => advice(
                "needs",
                format!("{name} at {url} cannot be reached: {reason}"),
                "events that need it wait until it is back; check the url in needs.toml",
            ),
        });
    }
    findings
}

async fn reach(host: &str, port: u16) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

fn address(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        Some(_) | None => None,
    });
    // An IPv6 address stands in brackets, which are not part of it.
    let host = uri.host()?.trim_matches(['[', ']']);
    Some((host.to_owned(), port?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_the_urls_own_or_its_schemes() {
        let cases = [
            ("http://a.example/v1", ("a.example", 80)),
            ("https://a.example", ("a.example", 443)),
            ("http://127.0.0.1:8090", ("127.0.0.1", 8090)),
            ("http://[::1]:9", ("::1", 9)),
        ];
        for (url, (host, port)) in cases {
            assert_eq!(address(url), Some((host.to_owned(), port)), "{url}");
        }
    }
}

//! What every test here needs: a broker of its own.

use std::path::Path;

use wharf_demo::NatsServer;
use wharf_demo::process::NatsOptions;

/// A server on a free port, gone with the value.
pub async fn nats(folder: &Path) -> NatsServer {
    NatsServer::start(NatsOptions::in_folder(folder))
        .await
        .unwrap()
}

/// Publishes bytes that a client library would refuse to send, and waits until
/// the server has taken them.
#[allow(
    dead_code,
    reason = "not every test file sends what a library would not"
)]
pub async fn publish_raw(nats: &NatsServer, subject: &str, headers: &[u8], data: &[u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let total = headers.len() + data.len();
    let mut bytes = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    bytes.extend(format!("HPUB {subject} {} {total}\r\n", headers.len()).into_bytes());
    bytes.extend([headers, data, b"\r\nPING\r\n"].concat());
    let address = wharf_demo::process::loopback(nats.port());
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(&bytes).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("PONG") {
        let mut piece = [0; 4096];
        let read = socket.read(&mut piece).await.unwrap();
        assert!(read > 0, "the server hung up: {answer}");
        answer += &String::from_utf8_lossy(&piece[..read]);
    }
}

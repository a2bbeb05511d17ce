//! A way to the server on which what the server says can be lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to a server; ends with the test's runtime.
pub struct Lossy {
    port: u16,
    loss: Arc<Mutex<Loss>>,
}

#[derive(Default)]
struct Loss {
    losing: bool,
    lost: Vec<u8>,
}

impl Lossy {
    pub async fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let loss = Arc::new(Mutex::new(Loss::default()));
        let shared = loss.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is down: the client sees its connection end.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await {
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::spawn(forward(from_client, to_server, Arc::default()));
                    tokio::spawn(forward(from_server, to_client, shared.clone()));
                }
            }
        });
        Self { port, loss }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// From now on, or no longer, what the server says is lost.
    pub fn lose(&self, losing: bool) {
        lock(&self.loss).losing = losing;
    }

    /// How often `text` was in what was lost.
    pub fn lost(&self, text: &str) -> usize {
        let loss = lock(&self.loss);
        let windows = loss.lost.windows(text.len());
        windows.filter(|window| *window == text.as_bytes()).count()
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, loss: Arc<Mutex<Loss>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..read];
        let losing = {
            let mut loss = lock(&loss);
            if loss.losing {
                loss.lost.extend_from_slice(said);
            }
            loss.losing
        };
        if !losing && to.write_all(said).await.is_err() {
            return;
        }
    }
}

fn lock(loss: &Mutex<Loss>) -> MutexGuard<'_, Loss> {
    loss.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A need on a real socket, which answers as it is told to, or not at all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// What the server does once it has read a whole request.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// Writes this and keeps the connection.
    Answer(String),
    /// Writes this and closes the connection.
    AnswerAndClose(String),
    /// Closes the connection without a word.
    Cut,
    /// Keeps the connection and says nothing.
    Hang,
}

/// A server that lives as long as this value.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(reaction: Reaction) -> Self {
        Self::start_with(move |_| reaction.clone()).await
    }

    /// A server that looks at the request before it reacts.
    pub async fn start_with(react: impl Fn(&str) -> Reaction + Send + Sync + 'static) -> Self {
        let react = Arc::new(react);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, Arc::clone(&react), Arc::clone(&seen)));
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// An answer with this status line's end and body.
    pub async fn answering(status: &str, body: &str) -> Self {
        Self::start(Reaction::Answer(answer(status, body))).await
    }

    /// Every request so far, as it came over the wire.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic while locked").clone()
    }

    /// Waits for the first request.
    pub async fn first_request(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(first) = self.requests().first() {
                return first.clone();
            }
            assert!(Instant::now() < deadline, "no request came");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A whole answer. `status` may hold more header lines.
pub fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An address at which nothing listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound")
}

async fn serve(
    mut connection: TcpStream,
    react: Arc<impl Fn(&str) -> Reaction>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = next_request(&mut connection, &mut buffer).await {
        let reaction = react(&request);
        seen.lock().expect("no panic while locked").push(request);
        match &reaction {
            Reaction::Answer(bytes) => {
                let _ = connection.write_all(bytes.as_bytes()).await;
            }
            Reaction::AnswerAndClose(bytes) => {
                let _ = connection.write_all(bytes.as_bytes()).await;
                return;
            }
            Reaction::Cut => return,
            Reaction::Hang => {}
        }
    }
}

/// Reads a request with the body that `content-length` announces.
async fn next_request(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = whole(buffer) {
            let request: Vec<u8> = buffer.drain(..end).collect();
            return Some(String::from_utf8_lossy(&request).into_owned());
        }
        let mut chunk = [0; 4096];
        match connection.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend_from_slice(&chunk[..n]),
        }
    }
}

/// Where the first request in the buffer ends, if it is there whole.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let end = head
        + length
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or(0);
    (buffer.len() >= end).then_some(end)
}

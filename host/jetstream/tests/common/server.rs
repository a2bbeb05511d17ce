//! A real nats-server for one test: its own port, its own store, ended by pid.
//!
//! Needs nothing but the standard library and `tempfile`, so that tests of
//! other crates can include this file by path.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(30);

pub struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// JetStream on file storage, no authentication.
    pub fn start() -> Self {
        Self::configured("")
    }

    /// As `start`, with more lines of configuration.
    pub fn configured(extra: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the store");
        let store = folder.path().join("store");
        Self::launch(
            folder,
            &format!("jetstream {{ store_dir: {store:?} }}\n{extra}\n"),
        )
    }

    /// A server that does not know JetStream.
    pub fn without_jetstream() -> Self {
        Self::plain("")
    }

    /// The same, with more lines of configuration.
    pub fn plain(extra: &str) -> Self {
        Self::launch(tempfile::tempdir().expect("a folder"), extra)
    }

    /// What it is configured with when it starts again; the port stays.
    pub fn reconfigure(&self, config: &str) {
        write_config(self.folder.path(), self.port, config);
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it as a power cut of the process would.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server's process");
        self.child.wait().expect("the server's end");
    }

    /// Starts it again on the same port and store.
    pub fn restart(&mut self) {
        self.child = spawn(self.folder.path());
        wait_for(&mut self.child, self.port).expect("the server comes back");
    }

    /// Stops it without closing anything: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Publishes past any client, so that headers can be any bytes. `block` is
    /// the whole header block, or empty. Returns when the server has taken it.
    pub fn publish_raw(&self, subject: &str, block: &[u8], payload: &[u8]) {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let mut lines = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut stream = stream;
        let mut line = String::new();
        lines.read_line(&mut line).expect("INFO");
        let total = block.len() + payload.len();
        let mut message = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
        match block.is_empty() {
            true => message.extend(format!("PUB {subject} {total}\r\n").into_bytes()),
            false => {
                message.extend(format!("HPUB {subject} {} {total}\r\n", block.len()).into_bytes());
            }
        }
        message.extend([block, payload, b"\r\nPING\r\n"].concat());
        stream.write_all(&message).expect("the message is sent");
        while !line.starts_with("PONG") {
            assert!(!line.starts_with("-ERR"), "refused: {line}");
            line.clear();
            assert!(
                lines.read_line(&mut line).expect("an answer") > 0,
                "closed by the server"
            );
        }
    }

    fn launch(folder: tempfile::TempDir, config: &str) -> Self {
        // A free port may be taken by the time the server starts.
        for _ in 0..20 {
            let port = free_port();
            write_config(folder.path(), port, config);
            let mut child = spawn(folder.path());
            match wait_for(&mut child, port) {
                Ok(()) => {
                    return Self {
                        child,
                        port,
                        folder,
                    };
                }
                Err(log) => eprintln!("nats-server did not start: {log}"),
            }
        }
        panic!("nats-server does not start");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill runs");
        assert!(done.success(), "kill {signal} {pid}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary: named by `WHARF_NATS_SERVER`, installed in the checkout, or on PATH.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("WHARF_NATS_SERVER") {
        return named.into();
    }
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    while folder.pop() {
        let installed = folder.join(".tools/bin/nats-server");
        if installed.exists() {
            return installed;
        }
    }
    "nats-server".into()
}

fn write_config(folder: &Path, port: u16, config: &str) {
    let text = format!("listen: \"127.0.0.1:{port}\"\n{config}");
    std::fs::write(folder.join("server.conf"), text).expect("the configuration");
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("server.log")).expect("a log");
    Command::new(binary())
        .arg("--config")
        .arg(folder.join("server.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("nats-server runs: see CONTRIBUTING.md for how to get it")
}

/// Waits until the server greets; an early end is an error with what it said.
fn wait_for(child: &mut Child, port: u16) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < START_MAX {
        if let Some(status) = child.try_wait().expect("the server's status") {
            return Err(format!("it ended with {status}"));
        }
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            let mut line = String::new();
            if BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO") {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    Err(format!("it did not answer within {START_MAX:?}"))
}

/// A port that was free a moment ago, and that the system does not lend to the
/// next outgoing connection: a server that was killed gets it again.
pub fn free_port() -> u16 {
    // Below what Linux (from 32,768) and macOS (from 49,152) lend.
    const PORTS: std::ops::Range<u16> = 15_000..32_000;
    let seed = RandomState::new();
    for nth in 0..100u8 {
        let drawn = seed.hash_one(nth) % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(drawn).expect("within the range");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

//! A way to a server that can be cut, hang, be late, or lose what is said.
//!
//! Needs nothing but the standard library and tokio, so that tests of other
//! crates can include this file by path.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    FromServer,
}

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// So many more arrive; then the connection stays, and nothing does.
    HangAfter(usize),
    /// What is read at once arrives so much later.
    Late(Duration),
    /// They vanish, and are kept for [`Proxy::lost`].
    Lost,
    /// The connection ends, and so does each new one.
    Closed,
}

/// Forwards connections to a server; ends with the test's runtime.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Moves when waiting flows have to be looked at again.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    lines: Vec<Arc<Mutex<Line>>>,
    lost: Vec<u8>,
}

struct Rule {
    who: String,
    way: Way,
    flow: Flow,
}

/// One connection.
#[derive(Default)]
struct Line {
    /// The first that the client said.
    greeting: Vec<u8>,
    cut: bool,
}

/// What to do with some bytes now.
enum Verdict {
    Send(usize),
    SendLate(Duration),
    Drop,
    Wait,
    Close,
}

/// A client's name is within the first bytes that it says.
const GREETING_BYTES: usize = 4 << 10;

impl Proxy {
    pub async fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let proxy = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(proxy.clone(), client, server_port));
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What becomes of bytes from now on, on all connections.
    pub fn set(&self, way: Way, flow: Flow) {
        self.set_for("", way, flow);
    }

    /// The same on connections whose client's name has `who` in it. Of several
    /// rules for a connection the last that was set counts.
    pub fn set_for(&self, who: &str, way: Way, flow: Flow) {
        let mut state = self.shared.lock();
        state
            .rules
            .retain(|rule| (rule.who.as_str(), rule.way) != (who, way));
        let who = who.to_owned();
        state.rules.push(Rule { who, way, flow });
        drop(state);
        self.shared.changed();
    }

    /// Forgets all rules: bytes that were held back arrive now.
    pub fn heal(&self) {
        self.shared.lock().rules.clear();
        self.shared.changed();
    }

    /// Ends the connections whose client's name has `who` in it; new ones are
    /// welcome.
    pub fn cut(&self, who: &str) {
        for line in &self.shared.lock().lines {
            let mut line = locked(line);
            line.cut |= line.is_of(who);
        }
        self.shared.changed();
    }

    /// How often `text` was in what was lost.
    pub fn lost(&self, text: &str) -> usize {
        let state = self.shared.lock();
        let windows = state.lost.windows(text.len());
        windows.filter(|window| *window == text.as_bytes()).count()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    fn judge(&self, line: &Mutex<Line>, way: Way, said: &[u8]) -> Verdict {
        let mut state = self.lock();
        let line = locked(line);
        if line.cut {
            return Verdict::Close;
        }
        let State { rules, lost, .. } = &mut *state;
        let rule = rules
            .iter_mut()
            .rev()
            .find(|rule| rule.way == way && line.is_of(&rule.who));
        let Some(rule) = rule else {
            return Verdict::Send(said.len());
        };
        match &mut rule.flow {
            Flow::Open => Verdict::Send(said.len()),
            Flow::HangAfter(0) => Verdict::Wait,
            Flow::HangAfter(left) => {
                let count = said.len().min(*left);
                *left -= count;
                Verdict::Send(count)
            }
            Flow::Late(time) => Verdict::SendLate(*time),
            Flow::Lost => {
                lost.extend_from_slice(said);
                Verdict::Drop
            }
            Flow::Closed => Verdict::Close,
        }
    }

    /// Waits until a connection has to end, with or without bytes on it.
    async fn until_closed(&self, line: &Mutex<Line>) {
        let mut changes = self.changes.subscribe();
        loop {
            let closed = |way| matches!(self.judge(line, way, &[]), Verdict::Close);
            if closed(Way::ToServer) || closed(Way::FromServer) {
                return;
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }
}

impl Line {
    fn is_of(&self, who: &str) -> bool {
        who.is_empty() || self.name().is_some_and(|name| name.contains(who))
    }

    /// A server that opens a route says who it is behind what a client says, and
    /// for which account when the route serves one only.
    fn name(&self) -> Option<String> {
        let greeting = String::from_utf8_lossy(&self.greeting);
        let value = |member: &str| {
            let (_, rest) = greeting.split_once(member)?;
            rest.split_once('"').map(|(name, _)| name.to_owned())
        };
        let name = value("\"server_name\":\"").or_else(|| value("\"name\":\""))?;
        Some(match value("\"route_account\":\"") {
            Some(account) => format!("{name} {account}"),
            None => name,
        })
    }
}

async fn serve(shared: Arc<Shared>, client: TcpStream, server_port: u16) {
    // A server that is down: the client sees its connection end.
    let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await else {
        return;
    };
    for stream in [&client, &server] {
        // Small messages are not to wait for each other.
        let _ = stream.set_nodelay(true);
    }
    let line = Arc::new(Mutex::new(Line::default()));
    shared.lock().lines.push(line.clone());
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = forward(&shared, &line, Way::ToServer, from_client, to_server) => {}
        () = forward(&shared, &line, Way::FromServer, from_server, to_client) => {}
        () = shared.until_closed(&line) => {}
    }
    shared
        .lock()
        .lines
        .retain(|other| !Arc::ptr_eq(other, &line));
}

async fn forward(
    shared: &Shared,
    line: &Mutex<Line>,
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let said = &buffer[..read];
        if way == Way::ToServer {
            let mut line = locked(line);
            let room = GREETING_BYTES.saturating_sub(line.greeting.len());
            line.greeting.extend_from_slice(&said[..read.min(room)]);
        }
        if pass(shared, line, way, said, &mut to).await.is_err() {
            return;
        }
    }
}

/// An error ends the connection.
async fn pass(
    shared: &Shared,
    line: &Mutex<Line>,
    way: Way,
    mut said: &[u8],
    to: &mut OwnedWriteHalf,
) -> std::io::Result<()> {
    let mut changes = shared.changes.subscribe();
    while !said.is_empty() {
        match shared.judge(line, way, said) {
            Verdict::Send(count) => {
                to.write_all(&said[..count]).await?;
                said = &said[count..];
            }
            Verdict::SendLate(time) => {
                tokio::time::sleep(time).await;
                to.write_all(said).await?;
                return Ok(());
            }
            Verdict::Drop => return Ok(()),
            Verdict::Wait => {
                // The sender lives as long as `shared`.
                let _ = changes.changed().await;
            }
            Verdict::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

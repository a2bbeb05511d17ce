//! A nats-server with a store of its own, which can be killed and started again.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use async_nats::Client;
use tokio::process::Command;

use super::{Child, free_port, loopback};
use crate::{Error, stream};

/// How long a server may take to answer, its store's recovery included.
const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Where a server runs and what it keeps.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// The program; None: `$WHARF_NATS_SERVER`, else PATH, else `.tools/bin`.
    pub program: Option<PathBuf>,
    /// None: any free one, the same for the server's whole life.
    pub port: Option<u16>,
    /// Holds the store, the log and the configuration.
    pub folder: PathBuf,
    /// More configuration in the server's own format.
    pub config: String,
}

impl NatsOptions {
    /// A server on any free port that keeps everything in `folder`.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            program: None,
            port: None,
            folder: folder.into(),
            config: String::new(),
        }
    }
}

/// A running server with JetStream and file storage. Dropping it kills it.
pub struct NatsServer {
    program: PathBuf,
    port: u16,
    folder: PathBuf,
    child: Child,
}

impl NatsServer {
    /// Starts a server and waits until JetStream answers.
    ///
    /// # Errors
    /// [`Error::Missing`] without the program, [`Error::Exited`] when it gives
    /// up, [`Error::NotReady`] when it does not answer in time.
    pub async fn start(options: NatsOptions) -> Result<Self, Error> {
        let program = match options.program {
            Some(program) => program,
            None => find_program()?,
        };
        let port = match options.port {
            Some(port) => port,
            None => free_port()?,
        };
        let folder = options.folder;
        let doing = format!("preparing {}", folder.display());
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("nats.conf"), options.config))
            .map_err(Error::io(doing))?;
        let child = spawn(&program, port, &folder)?;
        let mut server = Self {
            program,
            port,
            folder,
            child,
        };
        server.wait_ready().await?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("nats://{}", loopback(self.port))
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// None once it has ended and that was seen.
    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// A client that reconnects for ever.
    ///
    /// # Errors
    /// [`Error::Broker`] when the server does not answer.
    pub async fn connect(&self) -> Result<Client, Error> {
        stream::connect(&[self.url()]).await
    }

    /// SIGKILL: what the server had not written is lost, as in a crash.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map(drop)
    }

    /// An orderly end.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal.
    pub async fn stop(&mut self) -> Result<ExitStatus, Error> {
        self.child.term(STOP_GRACE).await
    }

    /// Starts the same server again after [`kill`](Self::kill) or
    /// [`stop`](Self::stop): same port, same store.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.child = spawn(&self.program, self.port, &self.folder)?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        loop {
            self.child.require_running()?;
            let last = match self.ask_jetstream().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if begun.elapsed() > READY_WITHIN {
                let (what, waited) = ("nats-server", begun.elapsed());
                return Err(Error::NotReady {
                    what,
                    waited,
                    last: last.to_string(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn ask_jetstream(&self) -> Result<(), Error> {
        let client = self.connect().await?;
        let asked = client.request("$JS.API.INFO", "".into()).await;
        asked
            .map(drop)
            .map_err(Error::broker("asking for JetStream"))
    }
}

fn spawn(program: &Path, port: u16, folder: &Path) -> Result<Child, Error> {
    let mut command = Command::new(program);
    command.args([
        "--addr",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--jetstream",
    ]);
    command.arg("--store_dir").arg(folder.join("store"));
    command.arg("--config").arg(folder.join("nats.conf"));
    Child::spawn("nats-server", &mut command, &folder.join("nats.log"))
}

fn find_program() -> Result<PathBuf, Error> {
    const NAME: &str = "nats-server";
    if let Some(path) = std::env::var_os("WHARF_NATS_SERVER").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::env::current_dir().unwrap_or_default();
    let tools = tools.ancestors().map(|folder| folder.join(".tools/bin"));
    let mut folders = std::env::split_paths(&path).chain(tools);
    folders
        .find_map(|folder| Some(folder.join(NAME)).filter(|file| file.is_file()))
        .ok_or_else(|| Error::Missing {
            what: NAME.into(),
            remedy: "put it on PATH, name it in WHARF_NATS_SERVER, or start through ./just",
        })
}

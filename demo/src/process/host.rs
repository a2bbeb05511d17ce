//! A host as a child process: what production runs, so that it can be killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::process::Signal;
use tokio::process::Command;

use super::{Child, Memory, plain_environment};
use crate::metrics::Samples;
use crate::{Error, client};

const POLL: Duration = Duration::from_millis(20);
/// How long the host may take to answer a question about itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What a host is started with.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The `wharf` binary.
    pub program: PathBuf,
    /// Folder of bundles to deploy at its start; None: what is deployed runs.
    pub handlers: Option<PathBuf>,
    /// `wharf.toml` and `needs.toml`.
    pub config: PathBuf,
    pub needs: PathBuf,
    /// Where its HTTP listens, as `config` says.
    pub listen: SocketAddr,
    /// Folder of compiled handlers, which makes the next start quick.
    pub cache: Option<PathBuf>,
    /// Its output is appended here.
    pub log: PathBuf,
    /// Variables beside those of this process; its own `WHARF_*` are not passed on.
    pub env: Vec<(String, String)>,
}

/// A running host. Dropping it kills it.
pub struct HostProcess {
    listen: SocketAddr,
    child: Child,
}

impl HostProcess {
    /// Starts a host; it is not ready yet.
    ///
    /// # Errors
    /// [`Error::Io`] when the program or its log cannot be opened.
    pub fn start(options: &HostOptions) -> Result<Self, Error> {
        let mut command = Command::new(&options.program);
        command.arg("host");
        if let Some(handlers) = &options.handlers {
            command.arg("--handlers").arg(handlers);
        }
        command
            .arg("--config")
            .arg(&options.config)
            .arg("--needs")
            .arg(&options.needs);
        if let Some(cache) = &options.cache {
            command.arg("--cache").arg(cache);
        }
        plain_environment(&mut command);
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        let child = Child::spawn("the host", &mut command, &options.log)?;
        Ok(Self {
            listen: options.listen,
            child,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// Waits until `/ready` says so; returns how long that took.
    ///
    /// # Errors
    /// [`Error::Exited`] when the host gives up, [`Error::NotReady`] after `limit`.
    pub async fn wait_ready(&mut self, limit: Duration) -> Result<Duration, Error> {
        let begun = Instant::now();
        loop {
            self.child.require_running()?;
            let last = match client::get(self.listen, "/ready", ANSWER_WITHIN).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok(begun.elapsed()),
                Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > limit {
                return Err(Error::NotReady {
                    what: "the host",
                    waited: begun.elapsed(),
                    last,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// # Errors
    /// [`Error::Exited`] with the log's end when it is not running any more.
    pub fn require_running(&mut self) -> Result<(), Error> {
        self.child.require_running()
    }

    /// What it counts, now.
    ///
    /// # Errors
    /// [`Error::Http`] when it does not answer.
    pub async fn metrics(&self) -> Result<Samples, Error> {
        let answer = client::get(self.listen, "/metrics", ANSWER_WITHIN).await?;
        Ok(Samples::parse(&String::from_utf8_lossy(&answer.body)))
    }

    /// # Errors
    /// [`Error::Io`] when it has ended.
    pub fn memory(&self) -> Result<Memory, Error> {
        self.child.memory()
    }

    /// SIGKILL, as in a crash.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map(drop)
    }

    /// Sends a signal and does not wait.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.child.signal(signal)
    }

    /// Waits for it to end; SIGKILL when it has not after `grace`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal or to wait.
    pub async fn ended(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.child.ended(grace).await
    }

    /// SIGTERM: drains, and is killed if it takes longer than `grace`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal.
    pub async fn term(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.child.term(grace).await
    }
}

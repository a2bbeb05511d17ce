//! Everything that a demo runs, set up in order and struck in reverse.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Command;

use super::folder::Folder;
use super::place::Place;
use super::signals::Signals;
use crate::args::{DemoArgs, Ports};
use crate::process::{
    HostOptions, HostProcess, NatsOptions, NatsServer, loopback, plain_environment, require_free,
};
use crate::{Error, Gateway};

/// How long the host may take to compile its handlers and bind.
const HOST_READY_WITHIN: Duration = Duration::from_secs(120);
/// The host's own drain (25 s by default), and room to exit.
const DRAIN_GRACE: Duration = Duration::from_secs(30);

/// A running shop.
pub struct Stage {
    pub nats: NatsServer,
    pub gateway: Gateway,
    pub host: HostProcess,
    pub folder: Folder,
    /// This program, which an operator's commands run too.
    pub program: PathBuf,
    /// The place's `wharf.toml`.
    pub config: PathBuf,
}

impl Stage {
    /// Starts everything; what has been started dies with an error.
    ///
    /// # Errors
    /// Ports in use, missing programs and bundles, and whatever keeps a part
    /// from being ready.
    pub async fn set(args: &DemoArgs, say: impl Fn(&str)) -> Result<Self, Error> {
        let ports = args.ports();
        require_ports(ports)?;
        let handlers = args.handlers.canonicalize().map_err(|_| Error::Missing {
            what: args.handlers.display().to_string(),
            remedy: "build the handlers first: ./just handlers",
        })?;
        let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let folder = Folder::fresh(&args.data)?;

        say(&format!(
            "nats-server on port {}, store in {}",
            ports.nats,
            folder.path().display()
        ));
        let options = NatsOptions {
            port: Some(ports.nats),
            ..NatsOptions::in_folder(folder.path())
        };
        let nats = NatsServer::start(options).await?;
        let gateway = Gateway::start(loopback(ports.gateway), args.seed, args.modes()).await?;
        say(&format!("payment and mail gateways on {}", gateway.url()));

        let listen = loopback(ports.http);
        let place = Place::write(folder.path(), &nats.url(), listen, &gateway.url())?;
        deploy(&program, &handlers, &place).await?;
        say("starting the host");
        let mut host = HostProcess::start(&HostOptions {
            program: program.clone(),
            handlers: None,
            config: place.config.clone(),
            needs: place.needs,
            listen,
            cache: Some(folder.cache()),
            log: folder.path().join("host.log"),
            env: Vec::new(),
        })?;
        let waited = host.wait_ready(HOST_READY_WITHIN).await?;
        say(&format!(
            "host on {}, ready after {:.1} s",
            host.url(),
            waited.as_secs_f64()
        ));
        Ok(Self {
            nats,
            gateway,
            host,
            folder,
            program,
            config: place.config,
        })
    }

    /// Drains the host, then stops the server. Another signal hurries the host.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses; the children die all the same.
    pub async fn strike(mut self, signals: &mut Signals) -> Result<(), Error> {
        self.host.signal(Signal::TERM)?;
        let hurried = tokio::select! {
            ended = self.host.ended(DRAIN_GRACE) => {
                ended?;
                false
            }
            () = signals.interrupted() => true,
        };
        if hurried {
            self.host.term(DRAIN_GRACE).await?;
        }
        self.nats.stop().await?;
        Ok(())
    }
}

/// Deploys the bundles in `handlers`, as an operator does.
///
/// # Errors
/// [`Error::Deploy`] with what the command said.
pub async fn deploy(program: &Path, handlers: &Path, place: &Place) -> Result<(), Error> {
    let mut command = Command::new(program);
    command
        .arg("deploy")
        .arg(handlers)
        .args(["-m", "the demo"])
        .arg("--needs")
        .arg(&place.needs)
        .arg("--config")
        .arg(&place.config);
    operate(&mut command).await
}

/// Runs an operator's command.
///
/// # Errors
/// [`Error::Deploy`] with what it said.
pub async fn operate(command: &mut Command) -> Result<(), Error> {
    plain_environment(command);
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(Error::io("running an operator's command"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let output_text = String::from_utf8_lossy(&text).trim().to_owned();
    Err(Error::Deploy {
        status: output.status,
        output: output_text,
    })
}

fn require_ports(ports: Ports) -> Result<(), Error> {
    require_free(ports.nats, "nats-server", "--nats-port")?;
    require_free(ports.http, "the host", "--http-port")?;
    require_free(ports.gateway, "the gateways", "--gateway-port")
}

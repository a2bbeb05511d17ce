//! What the end-to-end tests share: a broker, gateways and hosts of their own,
//! all of them real, all of them gone with the value that stands for them.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod ledger;
pub mod rollout;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::Client;
use tempfile::TempDir;
use wharf_demo::gateway::Modes;
use wharf_demo::process::{HostOptions, NatsOptions, free_port, loopback};
use wharf_demo::{Gateway, HostProcess, NatsServer, stream};

use ledger::Ledger;

/// The program under test.
pub const WHARF: &str = env!("CARGO_BIN_EXE_wharf");
/// How long anything may take that a machine with time to spare does at once.
pub const SOON: Duration = Duration::from_secs(30);
/// How long a host may take to compile its handlers and bind.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// The shop's streams, as a `wharf.toml` declares them.
pub const SHOP_STREAMS: &str = r#"
[streams.SHOP]
subjects = ["shop.{aggregate}.{id}.>"]
max_bytes = "1GiB"

[streams.AUDIT]
subjects = ["audit.>"]
max_bytes = "1GiB"
"#;

/// What a site is made of.
pub struct Plan {
    /// Folder of bundles.
    pub handlers: PathBuf,
    /// Tables of `wharf.toml` that declare streams.
    pub streams: String,
    /// Lines of the table `[host]`.
    pub host: String,
    /// Configuration of nats-server beside its defaults.
    pub broker: String,
    pub modes: Modes,
    /// Decides which requests a gateway fails.
    pub seed: u64,
}

/// What a site's hosts are connected to.
pub trait Broker {
    fn urls(&self) -> Vec<String>;
}

impl Broker for NatsServer {
    fn urls(&self) -> Vec<String> {
        vec![self.url()]
    }
}

/// A broker, gateways, and all that a host is started with.
pub struct Site<B = NatsServer> {
    pub nats: B,
    pub gateway: Gateway,
    pub options: HostOptions,
    folder: Option<TempDir>,
}

impl Plan {
    /// The shop in good health.
    pub fn shop() -> Self {
        Self::of(bundles(), SHOP_STREAMS)
    }

    pub fn of(handlers: PathBuf, streams: &str) -> Self {
        Self {
            handlers,
            streams: streams.to_owned(),
            host: String::new(),
            broker: String::new(),
            modes: Modes::default(),
            seed: 7,
        }
    }

    /// With these lines in the table `[host]`.
    #[must_use]
    pub fn host(mut self, lines: &str) -> Self {
        self.host = lines.to_owned();
        self
    }

    #[must_use]
    pub fn modes(mut self, modes: Modes) -> Self {
        self.modes = modes;
        self
    }
}

impl Site {
    /// Starts broker and gateways and writes the files; nothing is provisioned.
    pub async fn set(plan: Plan) -> Self {
        let folder = folder();
        let options = NatsOptions {
            config: plan.broker.clone(),
            ..NatsOptions::in_folder(folder.path())
        };
        let nats = NatsServer::start(options)
            .await
            .expect("nats-server starts");
        Self::around(nats, folder, plan).await
    }

    /// Broker, gateways, and everything that the handlers need on the broker.
    pub async fn provisioned(plan: Plan) -> Self {
        let site = Self::set(plan).await;
        site.provision().await;
        site
    }
}

impl<B: Broker> Site<B> {
    /// Starts gateways and writes the files, beside a broker that runs.
    pub async fn around(nats: B, folder: TempDir, plan: Plan) -> Self {
        let gateway = Gateway::start(loopback(0), plan.seed, plan.modes.clone())
            .await
            .expect("the gateways start");
        let listen = loopback(free_port().expect("a free port"));
        let config = folder.path().join("wharf.toml");
        let (streams, host) = (&plan.streams, &plan.host);
        let text = format!(
            "[nats]\nurl = {:?}\n{streams}\n[host]\nlisten = \"{listen}\"\n{host}\n",
            nats.urls()
        );
        std::fs::write(&config, text).expect("wharf.toml is written");
        let needs = folder.path().join("needs.toml");
        let url = gateway.url();
        let text = format!("[needs.gateway]\nurl = \"{url}\"\n\n[needs.mail]\nurl = \"{url}\"\n");
        std::fs::write(&needs, text).expect("needs.toml is written");
        let options = HostOptions {
            program: WHARF.into(),
            handlers: Some(plan.handlers),
            config,
            needs,
            listen,
            cache: Some(compiled()),
            log: folder.path().join("host.log"),
            env: vec![("WHARF_LOG".into(), "info".into())],
        };
        Self {
            nats,
            gateway,
            options,
            folder: Some(folder),
        }
    }

    pub async fn provision(&self) {
        let handlers = self.options.handlers.as_ref().expect("bundles");
        let paths = [handlers, &self.options.config].map(|path| path.to_str().expect("UTF-8"));
        self.wharf(&["provision", "--handlers", paths[0], "--config", paths[1]])
            .await;
    }

    /// Starts a host and does not wait for it.
    pub fn start_host(&self) -> HostProcess {
        HostProcess::start(&self.options).expect("the host starts")
    }

    /// Starts a host and waits until it is ready.
    pub async fn host(&self) -> HostProcess {
        started(&self.options).await
    }

    /// What another host of this place is started with: a port and a log of its
    /// own, and a way of its own to the broker. Its checkpoints begin with `name`.
    pub fn seat(&self, name: &str, urls: &[String]) -> HostOptions {
        let listen = loopback(free_port().expect("a free port"));
        let text = std::fs::read_to_string(&self.options.config).expect("wharf.toml");
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("url", _)) => format!("url = {urls:?}\n"),
            Some(("listen", _)) => format!("listen = \"{listen}\"\n"),
            _ => format!("{line}\n"),
        });
        let config = self.options.config.with_file_name(format!("{name}.toml"));
        std::fs::write(&config, lines.collect::<String>()).expect("its wharf.toml");
        let mut options = HostOptions {
            config,
            listen,
            log: self.options.log.with_file_name(format!("{name}.log")),
            ..self.options.clone()
        };
        options.env.push(("HOSTNAME".into(), name.into()));
        options
    }

    pub async fn client(&self) -> Client {
        let urls = self.nats.urls();
        stream::connect(&urls).await.expect("the broker answers")
    }

    pub async fn ledger(&self, handler: &str) -> Ledger {
        Ledger::new(self.client().await, handler)
    }

    /// Runs a command that has to succeed, and gives its standard output.
    pub async fn wharf(&self, arguments: &[&str]) -> String {
        let mut command = tokio::process::Command::new(WHARF);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WHARF_") {
                command.env_remove(name);
            }
        }
        let output = command.output().await.expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "wharf {arguments:?}: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs an operator's command on this place.
    pub async fn operate(&self, arguments: &[&str]) -> String {
        let config = self.options.config.to_str().expect("UTF-8");
        self.wharf(&[arguments, &["--config", config]].concat())
            .await
    }

    /// What the hosts have written so far.
    pub fn host_log(&self) -> String {
        let bytes = std::fs::read(&self.options.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What a failed test leaves is kept for whoever looks into it.
impl<B> Drop for Site<B> {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take().filter(|_| std::thread::panicking()) {
            eprintln!("kept for a look: {}", folder.keep().display());
        }
    }
}

/// A site's folder, below the target directory.
pub fn folder() -> TempDir {
    TempDir::with_prefix_in("site-", env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// The bundles that `just handlers` makes.
///
/// # Panics
/// When they are not there.
pub fn bundles() -> PathBuf {
    let named = std::env::var_os("WHARF_BUNDLES").filter(|value| !value.is_empty());
    let folder = named.map_or_else(|| target().join("bundles"), PathBuf::from);
    let order = folder.join("order/handler.wasm");
    assert!(
        order.is_file(),
        "{} is missing: build the handlers first, with `./just handlers`",
        order.display()
    );
    folder
}

/// Cargo's target directory.
pub fn target() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary
        .parent()
        .expect("below the target directory")
        .to_owned()
}

/// Starts a host and waits until it is ready.
pub async fn started(options: &HostOptions) -> HostProcess {
    let mut host = HostProcess::start(options).expect("the host starts");
    host.wait_ready(READY_WITHIN)
        .await
        .expect("the host gets ready");
    host
}

/// Looks until there is something to see; `what` says what was waited for.
///
/// # Panics
/// When there is nothing within `limit`.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Handlers compiled by an earlier test start at once.
fn compiled() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("host-cache")
}

/// On the clock of this machine, which the hosts' logs have too.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit")
}

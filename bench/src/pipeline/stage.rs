//! A fresh broker for each sample, and a host on it where one is measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use tempfile::TempDir;
use wharf_demo::process::{HostOptions, NatsOptions, free_port, loopback};
use wharf_demo::run::{Place, deploy};
use wharf_demo::{HostProcess, NatsServer};

use super::Delivery;
use super::event;
use super::manifest;
use crate::sink::Sink;
use crate::twin::{self, raw, window::Window};

/// How long a host may take to compile its handler and bind.
const READY_WITHIN: Duration = Duration::from_secs(120);
const DRAIN_GRACE: Duration = Duration::from_secs(30);
/// Metrics are scraped as often as a careful operator's collector would.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// What a host is started with.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `wharf` binary.
    pub wharf: PathBuf,
    /// The handler's component.
    pub component: PathBuf,
    /// Where hosts keep compiled components, from sample to sample.
    pub cache: PathBuf,
}

/// A broker with the streams of a place.
pub struct Stage {
    pub nats: NatsServer,
    pub client: Client,
    folder: TempDir,
}

impl Stage {
    /// A broker with streams made by hand, for a twin.
    ///
    /// # Errors
    /// When nats-server does not start.
    pub async fn by_hand() -> Result<Self> {
        let stage = Self::bare().await?;
        twin::make_streams(&stage.client).await?;
        Ok(stage)
    }

    /// A broker to which the handler is deployed; no host runs yet.
    ///
    /// # Errors
    /// When nats-server does not start, or the deploy fails.
    pub async fn deployed(programs: &Programs, delivery: Delivery) -> Result<(Self, HostOptions)> {
        let stage = Self::bare().await?;
        let folder = stage.folder.path();
        let listen = loopback(free_port()?);
        let place = Place {
            config: folder.join("wharf.toml"),
            needs: folder.join("needs.toml"),
        };
        std::fs::write(&place.config, wharf_toml(&stage.nats.url(), listen))?;
        std::fs::write(&place.needs, "")?;
        let handlers = folder.join("bundles");
        bundle(&handlers.join("echo"), programs, delivery)?;
        deploy(&programs.wharf, &handlers, &place).await?;
        let options = HostOptions {
            program: programs.wharf.clone(),
            handlers: None,
            config: place.config,
            needs: place.needs,
            listen,
            cache: Some(programs.cache.clone()),
            log: folder.join("host.log"),
            env: Vec::new(),
        };
        Ok((stage, options))
    }

    async fn bare() -> Result<Self> {
        let folder = TempDir::with_prefix("wharf-bench-")?;
        let nats = NatsServer::start(NatsOptions::in_folder(folder.path())).await?;
        let client = twin::connect(&nats.url()).await?;
        Ok(Self {
            nats,
            client,
            folder,
        })
    }

    /// Publishes events as fast as the broker takes them.
    ///
    /// # Errors
    /// When it refuses one.
    pub async fn preload(&self, events: u64) -> Result<()> {
        let mut window = Window::open(self.client.clone(), twin::WINDOW).await?;
        for number in 0..events {
            if !window.has_room() {
                window.answered().await?;
            }
            while window.try_answered()?.is_some() {}
            let (subject, headers, data) = event::of(number);
            window.send(subject, headers, data, ()).await?;
        }
        raw::drain(&mut window).await
    }
}

/// A host at work, scraped as in production.
pub struct Host {
    process: HostProcess,
    scraping: tokio::task::JoinHandle<()>,
}

impl Host {
    /// Starts a host that sends its spans to `sink`, or makes none.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start(mut options: HostOptions, sink: Option<&Sink>) -> Result<Self> {
        if let Some(sink) = sink {
            options.env = sink.environment();
        }
        let listen = options.listen;
        let mut process = HostProcess::start(&options)?;
        process.wait_ready(READY_WITHIN).await?;
        let scraping = tokio::spawn(async move {
            loop {
                // A scrape that is late is the collector's trouble, not ours.
                let _ = wharf_demo::client::get(listen, "/metrics", SCRAPE_EVERY).await;
                tokio::time::sleep(SCRAPE_EVERY).await;
            }
        });
        Ok(Self { process, scraping })
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Waits until the host says that every event is committed and none is left.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub async fn settled(&mut self, events: u64, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            self.process.require_running()?;
            let samples = self.process.metrics().await?;
            let committed = samples.count("wharf_events_total", &[("outcome", "committed")]);
            let unsettled = samples.count("wharf_unsettled", &[]);
            if committed == events && unsettled == 0 {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < limit,
                "{committed} of {events} committed, {unsettled} unsettled after {limit:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Drains it; it must end in order.
    ///
    /// # Errors
    /// When it does not.
    pub async fn stop(mut self) -> Result<()> {
        self.scraping.abort();
        let status = self.process.term(DRAIN_GRACE).await?;
        ensure!(status.success(), "the host ended with {status}");
        Ok(())
    }
}

fn bundle(folder: &Path, programs: &Programs, delivery: Delivery) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("handler.toml"), manifest::of(delivery))?;
    std::fs::copy(&programs.component, folder.join("handler.wasm")).with_context(|| {
        format!(
            "{} is missing: build it first, with `./just handlers`",
            programs.component.display()
        )
    })?;
    Ok(())
}

fn wharf_toml(url: &str, listen: std::net::SocketAddr) -> String {
    format!(
        r#"[nats]
url = ["{url}"]

[streams.IN]
subjects = ["in.{{key}}"]
max_bytes = "2GiB"

[streams.OUT]
subjects = ["out.{{key}}"]
max_bytes = "2GiB"

[host]
listen = "{listen}"
"#
    )
}

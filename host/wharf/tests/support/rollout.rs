//! Versions in the registry, changed and followed from outside.

use bytes::Bytes;
use wharf_core::deployment::{self, Author, Deployment, Digest};
use wharf_core::report::{self, HandlerReport};
use wharf_jetstream::connection::{Purpose, Settings, connect};
use wharf_jetstream::registry::{Key, Kind, Registry, Saved};

use super::{Broker, SOON, Site, until};

/// Who changes deployments in tests.
pub const AUTHOR: Author<'static> = Author {
    by: "a test",
    why: "to see",
    now_ms: 1,
};

/// The registry of a site.
pub struct Rollout {
    pub registry: Registry,
}

impl Rollout {
    pub async fn of<B: Broker>(site: &Site<B>) -> Self {
        let mut settings = Settings::new("test", "");
        settings.servers = site.nats.urls();
        let connection = connect(&settings, &Purpose::Control)
            .await
            .expect("connected");
        let registry = Registry::open(connection).await.expect("opened");
        Self { registry }
    }

    pub async fn deployment(&self, handler: &str) -> (Deployment, u64) {
        let key = Key::Handler(handler.to_owned());
        let entry = self.registry.read(&key).await.expect("asked");
        let entry = entry.expect("it is deployed");
        let deployment = deployment::decode(&entry.bytes).expect("a deployment");
        (deployment, entry.revision)
    }

    /// Changes a deployment, past the command that would check it; its revision.
    pub async fn change(&self, handler: &str, next: impl Fn(&Deployment) -> Deployment) -> u64 {
        let (before, expected) = self.deployment(handler).await;
        let bytes = Bytes::from(deployment::encode(&next(&before)));
        let key = Key::Handler(handler.to_owned());
        match self.registry.write(&key, expected, bytes).await {
            Saved::Stored { revision } => revision,
            other => panic!("not changed: {other:?}"),
        }
    }

    /// Gives the traffic to a component under the manifest in use; the revision.
    pub async fn deploy(&self, handler: &str, wasm: &[u8]) -> u64 {
        let component = self
            .registry
            .put_object(&Bytes::copy_from_slice(wasm))
            .await;
        self.switch(handler, component.expect("put")).await
    }

    pub async fn switch(&self, handler: &str, component: Digest) -> u64 {
        let next = |before: &Deployment| {
            let manifest = before.in_use().manifest;
            let next = before.deployed(component, manifest, AUTHOR);
            next.expect("another version")
        };
        self.change(handler, next).await
    }

    /// Waits until the one host has followed a revision; what it says then.
    pub async fn followed(&self, handler: &str, revision: u64) -> HandlerReport {
        let what = format!("{handler} to follow revision {revision}");
        until(&what, SOON, async || {
            let hosts = self.registry.list(Kind::Hosts).await.ok()?;
            let reports = hosts
                .iter()
                .filter_map(|(_, entry)| report::decode(&entry.bytes));
            let mut states = reports.filter_map(|mut host| host.handlers.remove(handler));
            states.find(|state| state.revision >= revision)
        })
        .await
    }
}

/// The same component, told apart: a section that nobody reads.
pub fn marked(wasm: &[u8], mark: &str) -> Vec<u8> {
    const NAME: &[u8] = b"mark";
    let content = [&[4u8][..], NAME, mark.as_bytes()].concat();
    let size = u8::try_from(content.len()).ok().filter(|size| *size < 128);
    let size = size.expect("a short mark");
    [wasm, &[0, size], &content].concat()
}

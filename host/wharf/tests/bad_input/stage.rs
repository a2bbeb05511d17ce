//! Handlers of the tests' own, on a stream of their own.

use tempfile::TempDir;
use wharf_demo::HostProcess;

use crate::bundles::{self, Bundle};
use crate::event::Raw;
use crate::support::{Plan, Site};
use crate::wire::Wire;

/// What a handler of a test is tried with.
const RETRY: &str = r#"
[retry]
initial = "10ms"
cap = "20ms"
guest_faults = 2
"#;

const STREAMS: &str = r#"
[streams.TEST]
subjects = ["test.>"]
max_bytes = "512MiB"
"#;

/// Appends the data of its events to the state of their key, so that the state
/// tells which events took effect, how often, and in which order.
pub fn keep() -> Bundle {
    let manifest = format!(
        r#"stream = "TEST"
start = "all"
on_dead = "continue"

[[on]]
subjects = ["test.keep.{{id}}"]
key = "{{id}}"
types = ["kept"]

[state]
content_type = "text/plain"
{RETRY}"#
    );
    Bundle::new("keep", &manifest, bundles::appender())
}

/// As [`keep`], with keys out of a header, which may be any text.
pub fn keep_by_header() -> Bundle {
    let manifest = format!(
        r#"stream = "TEST"
start = "all"
on_dead = "continue"

[[on]]
subjects = ["test.headed"]
key = "header:x-key"

[state]
content_type = "text/plain"
{RETRY}"#
    );
    Bundle::new("keep-by-header", &manifest, bundles::appender())
}

/// Misbehaves as the event's type says, in a handler with order.
pub fn rogue(limits: &str) -> Bundle {
    let manifest = format!(
        r#"stream = "TEST"
start = "all"
on_dead = "continue"
timers = ["earlier", "later"]

[[on]]
subjects = ["test.rogue"]
key = "header:x-key"

[emits]
"flood" = "test.out.{{key}}.flood"

[state]
content_type = "text/plain"
{RETRY}
[limits]
{limits}"#
    );
    Bundle::new("rogue", &manifest, bundles::adversary())
}

/// The same guest without order; `emit-flood` emits as often as the data say.
pub fn rogue_without_order() -> Bundle {
    let manifest = format!(
        r#"stream = "TEST"
start = "all"
ordering = "none"

[[on]]
subjects = ["test.loose.{{name}}"]
key = "{{name}}"

[emits]
"flood" = "test.out.{{key}}.flood"
{RETRY}"#
    );
    Bundle::new("rogue-without-order", &manifest, bundles::adversary())
}

/// The same guest, which tells of its attempts; `delivery` as in the manifest.
pub fn teller(delivery: &str) -> Bundle {
    teller_of(delivery, 256, RETRY)
}

/// A [`teller`] with one attempt at once, which takes its time before the next.
pub fn slow_teller() -> Bundle {
    teller_of(
        "at-least-once",
        1,
        "\n[retry]\ninitial = \"60s\"\ncap = \"60s\"\n",
    )
}

fn teller_of(delivery: &str, max_in_flight: u32, retry: &str) -> Bundle {
    let manifest = format!(
        r#"stream = "TEST"
start = "all"
ordering = "none"
delivery = "{delivery}"
max_in_flight = {max_in_flight}

[[on]]
subjects = ["test.teller.{{name}}"]
key = "{{name}}"

[emits]
"told" = "test.told.{{key}}"
{retry}max_attempts = 100
"#
    );
    Bundle::new("teller", &manifest, bundles::adversary())
}

/// An event of [`teller`]: it fails so often, then takes so many milliseconds.
pub fn for_teller(key: &str, id: &str, failures: u32, millis: u32) -> Raw {
    let subject = format!("test.teller.{key}");
    Raw::event(&subject, id, "tell", format!("{failures} {millis}"))
}

/// An event of [`keep`].
pub fn kept(key: &str, id: &str, data: impl Into<Vec<u8>>) -> Raw {
    Raw::event(&format!("test.keep.{key}"), id, "kept", data)
}

/// An event of [`rogue`].
pub fn for_rogue(key: &str, id: &str, event_type: &str, data: impl Into<Vec<u8>>) -> Raw {
    Raw::event("test.rogue", id, event_type, data).with("x-key", key)
}

/// Everything that runs in a test; the folder of bundles goes with it.
pub struct Stage {
    pub host: HostProcess,
    pub wire: Wire,
    pub site: Site,
    _folder: TempDir,
}

impl Stage {
    /// A host on a broker of its own, with these handlers.
    pub async fn set(bundles: &[Bundle]) -> Self {
        let folder = bundles::folder(bundles);
        let site = Site::provisioned(Plan::of(folder.path().to_owned(), STREAMS)).await;
        let host = site.host().await;
        let wire = Wire::connect(site.nats.port());
        Self {
            host,
            wire,
            site,
            _folder: folder,
        }
    }
}
